// What the kernels for small batches share: how many rows a kernel is compiled for, and which side of the cell a thread works
// on.
#pragma once

#include <type_traits>

#include "cuda/kernels/launch.cuh"

namespace gru_ext::cuda {

// One of the two products of the cell: rows in [N, K] with their weights w [3H, K].
template <class T>
struct Side {
  const T* in;
  int64_t K, row;  // row: numbers from one row of `in` to the next
  bool packs;      // whether whole packs can be used
};

// Calls f with the smallest number of rows that a kernel is compiled for and that holds N rows.
template <class F>
cudaError_t with_rows(int64_t N, const F& f) {
  static_assert(kSmallBatch == 8);
  if (N <= 1) return f(std::integral_constant<int, 1>());
  if (N <= 2) return f(std::integral_constant<int, 2>());
  if (N <= 4) return f(std::integral_constant<int, 4>());
  return f(std::integral_constant<int, 8>());
}

}  // namespace gru_ext::cuda
