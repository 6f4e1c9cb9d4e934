// How the kernels of the gates divide [rows, columns] among threads: a block is `x` threads across the columns, one pack each,
// by `y` down the rows, and walks down the rows in steps of the grid's height.
#pragma once

#include <algorithm>

#include "cuda/kernels/launch.cuh"

namespace gru_ext::cuda {

constexpr int kThreads = 256;
// A warp side by side reads 512 bytes of each row in one go.
constexpr int kMostAcross = 32;
// Blocks that keep the largest GPUs busy, some four on each of 132 multiprocessors; more would only make more partial sums. A
// constant, so that the same sums are made everywhere, and in the same order.
constexpr int64_t kBlocks = 512;

struct Geometry {
  dim3 grid, block;
};

// For columns of V numbers in a pack.
inline Geometry geometry(int64_t rows, int64_t columns, int V) {
  const int64_t packs = columns / V;
  unsigned across = 1;
  while (across < kMostAcross && across < packs) across *= 2;
  const unsigned down = kThreads / across;
  const int64_t blocks_across = std::max<int64_t>(ceil_div(packs, across), 1);
  const int64_t blocks_down = std::min(ceil_div(rows, down), ceil_div(kBlocks, blocks_across));
  return {dim3(static_cast<unsigned>(blocks_across), static_cast<unsigned>(std::max<int64_t>(blocks_down, 1))),
          dim3(across, down)};
}

}  // namespace gru_ext::cuda
