// A step of a few rows in one kernel: bound by reading the weights, which it reads once, for all rows. A warp takes one unit
// and one side of the cell, x or h, or a part of it; the sums of a unit's warps meet in shared memory, where its gates are
// made.
#include <algorithm>

#include "cuda/kernels/gates.cuh"
#include "cuda/kernels/small_batch.cuh"

namespace gru_ext::cuda {
namespace {

constexpr int kLanes = 32;
constexpr int kWarps = 8;
constexpr int kSums = 3;  // of a side: those of r, z and n
// At least: leaves each thread up to 128 registers. Left to itself, the compiler stops at 64 and spills.
constexpr int kBlocksPerMultiprocessor = 2;

template <class T>
struct SmallBatchLaunch {
  SmallBatchArgs<T> step;
  Side<T> sides[2];  // x, h
  int splits;        // warps that share the products of one side of a unit: 1, 2 or 4
};

template <class T>
__device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
  for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xffffffff, v, lanes);
  return v;
}

// Adds, to the sums of N rows of `side`, the products with the weights of one unit, of which this lane takes every stride-th
// pack of V, from the first-th on.
template <int V, class T, int kRows>
__device__ __forceinline__ void add_products(Compute<T> (&sums)[kSums][kRows], const Side<T>& side, const T* w, int64_t H,
                                             int64_t N, int64_t first, int64_t stride) {
  const int64_t K = side.K, gate = H * K;
  for (int64_t k = first * V; k < K; k += stride * V) {
    const Pack<T, V> w_r = load<V>(w + k), w_z = load<V>(w + gate + k), w_n = load<V>(w + 2 * gate + k);
#pragma unroll
    for (int n = 0; n < kRows; ++n) {
      if (n >= N) break;
      const Pack<T, V> in = load<V>(side.in + n * side.row + k);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const Compute<T> value = widen(in.v[i]);
        sums[0][n] += value * widen(w_r.v[i]);
        sums[1][n] += value * widen(w_z.v[i]);
        sums[2][n] += value * widen(w_n.v[i]);
      }
    }
  }
}

template <class T, int kRows>
__global__ void __launch_bounds__(kWarps* kLanes, kBlocksPerMultiprocessor)
    small_batch_forward_kernel(const SmallBatchLaunch<T> p) {
  using S = Compute<T>;
  __shared__ S of_warp[kWarps][kSums][kRows];
  const int64_t N = p.step.N, H = p.step.H;
  const int warp = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
  const int warps_per_unit = 2 * p.splits, units = kWarps / warps_per_unit;
  const int64_t first_unit = static_cast<int64_t>(blockIdx.x) * units;

  const int64_t unit = first_unit + warp / warps_per_unit;
  if (unit < H) {
    const bool hidden = warp / p.splits % 2 == 1;
    const Side<T> side = p.sides[hidden];
    const T* const w = (hidden ? p.step.w_hh : p.step.w_ih) + unit * side.K;
    const int first = warp % p.splits * kLanes + lane, stride = p.splits * kLanes;
    S sums[kSums][kRows] = {};
    if (side.packs)
      add_products<kPack<T>>(sums, side, w, H, N, first, stride);
    else
      add_products<1>(sums, side, w, H, N, first, stride);
#pragma unroll
    for (int g = 0; g < kSums; ++g)
#pragma unroll
      for (int n = 0; n < kRows; ++n) {
        const S sum = warp_sum(sums[g][n]);
        if (lane == 0) of_warp[warp][g][n] = sum;
      }
  }
  __syncthreads();

  // One thread for each unit and row of the block.
  const int n = threadIdx.x % kRows, j_of_block = threadIdx.x / kRows;
  const int64_t j = first_unit + j_of_block;
  if (j_of_block >= units || j >= H || n >= N) return;
  const auto sum_of = [&](int side, int g) {
    const int begin = j_of_block * warps_per_unit + side * p.splits;
    Number<T> sum = {of_warp[begin][g][n]};
    for (int split = 1; split < p.splits; ++split) sum.value += of_warp[begin + split][g][n];
    return sum;
  };
  const BiasPacks<T, 1> bias(p.step.b_ih, p.step.b_hh, H, j);
  const auto s = gates(sum_of(0, 0) + sum_of(1, 0) + bias.r(0), sum_of(0, 1) + sum_of(1, 1) + bias.z(0),
                       sum_of(0, 2) + bias.n(0), sum_of(1, 2) + bias.q(0));
  const Number<T> h = {widen(__ldg(p.step.h + n * p.step.h_row + j))};
  p.step.hy[n * H + j] = narrow<T>(next_state(s, h).value);
  if (p.step.saved == nullptr) return;
  SavedPacks<T, 1> saved;
  saved.set(0, s);
  saved.store_to(p.step.saved + n * 4 * H + j, H);
}

// Enough warps for a unit that each lane has two to four packs to read: all of them are then on their way at once.
template <class T>
int splits_for(int64_t K) {
  const int64_t packs_per_lane = K / (kPack<T> * kLanes);
  return packs_per_lane >= 8 ? 4 : packs_per_lane >= 4 ? 2 : 1;
}

}  // namespace

template <class T>
cudaError_t small_batch_forward(const SmallBatchArgs<T>& p, cudaStream_t stream) {
  if (p.N > kSmallBatch) return cudaErrorInvalidValue;
  if (p.N == 0 || p.H == 0) return cudaSuccess;
  const SmallBatchLaunch<T> args = {p,
                                    {{p.x, p.I, p.x_row, fits_packs<T>({p.x, p.w_ih}, {p.I, p.x_row})},
                                     {p.h, p.H, p.h_row, fits_packs<T>({p.h, p.w_hh}, {p.H, p.h_row})}},
                                    splits_for<T>(std::max(p.I, p.H))};
  const unsigned blocks = static_cast<unsigned>(ceil_div(p.H * 2 * args.splits, kWarps));
  return with_rows(p.N, [&](auto rows) {
    return launch(small_batch_forward_kernel<T, rows()>, dim3(blocks), dim3(kWarps * kLanes), args, stream);
  });
}

template cudaError_t small_batch_forward(const SmallBatchArgs<float>&, cudaStream_t);
template cudaError_t small_batch_forward(const SmallBatchArgs<double>&, cudaStream_t);
template cudaError_t small_batch_forward(const SmallBatchArgs<__half>&, cudaStream_t);
template cudaError_t small_batch_forward(const SmallBatchArgs<__nv_bfloat16>&, cudaStream_t);

}  // namespace gru_ext::cuda
