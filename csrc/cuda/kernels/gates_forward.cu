// Gates of a step and the next state, from both matrix products. Bound by memory: each number is read once and written once.
#include "cuda/kernels/elementwise.cuh"
#include "cuda/kernels/gates.cuh"
#include "cuda/kernels/pack.cuh"

namespace gru_ext::cuda {
namespace {

template <class T, int V>
__global__ void __launch_bounds__(kThreads) gates_forward_kernel(const GatesForwardArgs<T> p) {
  const int64_t H = p.H, j = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * V;
  if (j >= H) return;
  const BiasPacks<T, V> bias(p.b_ih, p.b_hh, H, j);
  for (int64_t n = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; n < p.N; n += gridDim.y * blockDim.y) {
    const T *const input = p.input_gates + n * 3 * H + j, *const hidden = p.hidden_gates + n * 3 * H + j;
    const Pack<T, V> i_r = load<V>(input), i_z = load<V>(input + H), i_n = load<V>(input + 2 * H);
    const Pack<T, V> h_r = load<V>(hidden), h_z = load<V>(hidden + H), h_n = load<V>(hidden + 2 * H);
    const Pack<T, V> h = load<V>(p.h + n * p.h_row + j);
    Pack<T, V> hy;
    SavedPacks<T, V> saved;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const auto s = gates(i_r[i] + h_r[i] + bias.r(i), i_z[i] + h_z[i] + bias.z(i), i_n[i] + bias.n(i), h_n[i] + bias.q(i));
      hy.set(i, next_state(s, h[i]));
      saved.set(i, s);
    }
    store(p.hy + n * H + j, hy);
    if (p.saved != nullptr) saved.store_to(p.saved + n * 4 * H + j, H);
  }
}

}  // namespace

template <class T>
cudaError_t gates_forward(const GatesForwardArgs<T>& p, cudaStream_t stream) {
  if (p.N == 0 || p.H == 0) return cudaSuccess;
  const bool packs = fits_packs<T>({p.input_gates, p.hidden_gates, p.h, p.b_ih, p.b_hh, p.hy, p.saved}, {p.H, p.h_row});
  const Geometry g = geometry(p.N, p.H, packs ? kPack<T> : 1);
  return launch(packs ? gates_forward_kernel<T, kPack<T>> : gates_forward_kernel<T, 1>, g.grid, g.block, p, stream);
}

template cudaError_t gates_forward(const GatesForwardArgs<float>&, cudaStream_t);
template cudaError_t gates_forward(const GatesForwardArgs<double>&, cudaStream_t);
template cudaError_t gates_forward(const GatesForwardArgs<__half>&, cudaStream_t);
template cudaError_t gates_forward(const GatesForwardArgs<__nv_bfloat16>&, cudaStream_t);

}  // namespace gru_ext::cuda
