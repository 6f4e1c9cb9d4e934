// The gradients of both weights for a few rows, outer products: bound by writing them. A thread keeps its pack of each row of x
// or h in registers and walks down the rows of the gradient.

#include "cuda/kernels/elementwise.cuh"
#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/small_batch.cuh"

namespace gru_ext::cuda {
namespace {

constexpr int kAcross = 32, kDown = kThreads / kAcross;
// Rows of the gradient per thread: enough to pay for reading x or h, few enough to leave work for all multiprocessors.
constexpr int kRowsPerThread = 4;

template <class T>
struct WeightsLaunch {
  SmallBatchWeightsArgs<T> step;
  Side<T> sides[2];  // x, h; one whose gradient nobody wants has K = 0
  int64_t x_blocks;  // the blocks across the columns of x come first, then those of h
};

template <int V, int kRows, class T>
__device__ __forceinline__ void outer_products(const Side<T>& side, const T* d_gates, T* d_w, int64_t N, int64_t H,
                                               int64_t block) {
  const int64_t k = (block * kAcross + threadIdx.x) * V, K = side.K;
  if (k >= K) return;
  Pack<T, V> in[kRows];
#pragma unroll
  for (int n = 0; n < kRows; ++n)
    if (n < N) in[n] = load<V>(side.in + n * side.row + k);
  const int64_t first = (static_cast<int64_t>(blockIdx.y) * kDown + threadIdx.y) * kRowsPerThread;
#pragma unroll
  for (int r = 0; r < kRowsPerThread; ++r) {
    const int64_t row = first + r;
    if (row >= 3 * H) return;
    Compute<T> sums[V] = {};
#pragma unroll
    for (int n = 0; n < kRows; ++n) {
      if (n >= N) break;
      const Compute<T> d = widen(__ldg(d_gates + n * 3 * H + row));
#pragma unroll
      for (int i = 0; i < V; ++i) sums[i] += d * widen(in[n].v[i]);
    }
    Pack<T, V> d_w_pack;
#pragma unroll
    for (int i = 0; i < V; ++i) d_w_pack.v[i] = narrow<T>(sums[i]);
    store(d_w + row * K + k, d_w_pack);
  }
}

template <class T, int kRows>
__global__ void __launch_bounds__(kThreads) small_batch_weights_kernel(const WeightsLaunch<T> p) {
  const bool hidden = blockIdx.x >= p.x_blocks;
  const Side<T> side = p.sides[hidden];
  const T* const d_gates = hidden ? p.step.d_hidden_gates : p.step.d_input_gates;
  T* const d_w = hidden ? p.step.d_w_hh : p.step.d_w_ih;
  const int64_t block = blockIdx.x - (hidden ? p.x_blocks : 0);
  if (side.packs)
    outer_products<kPack<T>, kRows>(side, d_gates, d_w, p.step.N, p.step.H, block);
  else
    outer_products<1, kRows>(side, d_gates, d_w, p.step.N, p.step.H, block);
}

template <class T>
int64_t blocks_across(const Side<T>& side) {
  return ceil_div(side.K, kAcross * (side.packs ? kPack<T> : 1));
}

}  // namespace

template <class T>
cudaError_t small_batch_weights(const SmallBatchWeightsArgs<T>& p, cudaStream_t stream) {
  if (p.N > kSmallBatch) return cudaErrorInvalidValue;
  const int64_t I = p.d_w_ih == nullptr ? 0 : p.I, H = p.d_w_hh == nullptr ? 0 : p.H;
  const Side<T> x = {p.x, I, p.x_row, fits_packs<T>({p.x, p.d_w_ih}, {I, p.x_row})};
  const Side<T> h = {p.h, H, p.h_row, fits_packs<T>({p.h, p.d_w_hh}, {H, p.h_row})};
  const int64_t across = blocks_across(x) + blocks_across(h);
  if (across == 0 || p.H == 0) return cudaSuccess;
  const WeightsLaunch<T> args = {p, {x, h}, blocks_across(x)};
  const dim3 grid(static_cast<unsigned>(across), static_cast<unsigned>(ceil_div(3 * p.H, kDown * kRowsPerThread)));
  return with_rows(
      p.N, [&](auto rows) { return launch(small_batch_weights_kernel<T, rows()>, grid, dim3(kAcross, kDown), args, stream); });
}

template cudaError_t small_batch_weights(const SmallBatchWeightsArgs<float>&, cudaStream_t);
template cudaError_t small_batch_weights(const SmallBatchWeightsArgs<double>&, cudaStream_t);
template cudaError_t small_batch_weights(const SmallBatchWeightsArgs<__half>&, cudaStream_t);
template cudaError_t small_batch_weights(const SmallBatchWeightsArgs<__nv_bfloat16>&, cudaStream_t);

}  // namespace gru_ext::cuda
