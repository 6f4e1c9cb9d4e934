// Gradients of the gates, and with them the gradients of the biases, which are their sums over the batch. Each block adds up
// its rows, a slab, in a fixed order; a second kernel adds the slabs in a fixed order. So two runs give the same bits.
#include "cuda/kernels/elementwise.cuh"
#include "cuda/kernels/gates.cuh"
#include "cuda/kernels/pack.cuh"

namespace gru_ext::cuda {
namespace {

constexpr int kGates = 4;  // r, z, n and q: the gradients of both biases share the first two

// Where the sums of the gates' gradients go: gate g of unit j.
template <class T>
__device__ __forceinline__ void store_bias_gradient(const GatesBackwardArgs<T>& p, int64_t g, int64_t j, Compute<T> sum) {
  const T rounded = narrow<T>(sum);
  if (p.d_b_ih != nullptr && g < 3) p.d_b_ih[g * p.H + j] = rounded;
  if (p.d_b_hh != nullptr && g != 2) p.d_b_hh[(g < 2 ? g : 2) * p.H + j] = rounded;
}

// The sums of one slab over the rows of the block, by way of shared memory: thread (x, y) brings the sums of its rows.
template <class T, int V>
__device__ __forceinline__ void store_slab(const GatesBackwardArgs<T>& p, const Compute<T> (&sums)[kGates][V]) {
  // V varies slowest, so that neighbouring threads write neighbouring banks.
  __shared__ Compute<T> of_row[kGates][V][kThreads];
  const int across = blockDim.x, down = blockDim.y, thread = threadIdx.y * across + threadIdx.x;
#pragma unroll
  for (int g = 0; g < kGates; ++g)
#pragma unroll
    for (int i = 0; i < V; ++i) of_row[g][i][thread] = sums[g][i];
  __syncthreads();
  for (int sum = thread; sum < kGates * V * across; sum += kThreads) {
    const int x = sum % across, i = sum / across % V, g = sum / (across * V);
    Compute<T> total = 0;
    for (int y = 0; y < down; ++y) total += of_row[g][i][y * across + x];
    const int64_t j = (static_cast<int64_t>(blockIdx.x) * across + x) * V + i;
    if (j >= p.H) continue;
    if (gridDim.y == 1)
      store_bias_gradient(p, g, j, total);
    else
      p.partial_sums[(blockIdx.y * kGates + g) * p.H + j] = total;
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads) gates_backward_kernel(const GatesBackwardArgs<T> p) {
  const int64_t H = p.H, j = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * V;
  Compute<T> sums[kGates][V] = {};
  // Threads past the last column have no rows, but come along to the barrier.
  const int64_t N = j < H ? p.N : 0;
  for (int64_t n = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; n < N; n += gridDim.y * blockDim.y) {
    const auto saved = SavedPacks<T, V>::load_from(p.saved + n * 4 * H + j, H);
    const Pack<T, V> grad = load<V>(p.grad + n * H + j), h = load<V>(p.h + n * p.h_row + j);
    Pack<T, V> d_r, d_z, d_n, d_q, d_h;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const Gates<Number<T>> s = saved[i];
      const auto d = gates_backward(grad[i], h[i], s);
      d_r.set(i, d.r);
      d_z.set(i, d.z);
      d_n.set(i, d.n);
      d_q.set(i, d.q);
      d_h.set(i, state_backward(grad[i], s));
      sums[0][i] += d.r.value;
      sums[1][i] += d.z.value;
      sums[2][i] += d.n.value;
      sums[3][i] += d.q.value;
    }
    T *const d_input = p.d_input_gates + n * 3 * H + j, *const d_hidden = p.d_hidden_gates + n * 3 * H + j;
    store(d_input, d_r);
    store(d_input + H, d_z);
    store(d_input + 2 * H, d_n);
    store(d_hidden, d_r);
    store(d_hidden + H, d_z);
    store(d_hidden + 2 * H, d_q);
    if (p.d_h != nullptr) store(p.d_h + n * H + j, d_h);
  }
  if (p.d_b_ih != nullptr || p.d_b_hh != nullptr) store_slab<T, V>(p, sums);
}

// The second pass: 32 sums side by side, the slabs dealt out to the rows of the block.
constexpr int kSlabRows = 16;

template <class T>
struct SumSlabsArgs {
  GatesBackwardArgs<T> gates;
  int64_t slabs;
};

template <class T>
__global__ void __launch_bounds__(32 * kSlabRows) sum_slabs_kernel(const SumSlabsArgs<T> p) {
  __shared__ Compute<T> of_row[kSlabRows][32];
  const int64_t H = p.gates.H, columns = kGates * H, column = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x;
  Compute<T> sum = 0;
  if (column < columns)
    for (int64_t slab = threadIdx.y; slab < p.slabs; slab += kSlabRows)
      sum += __ldg(p.gates.partial_sums + slab * columns + column);
  of_row[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= columns) return;
  for (int y = 1; y < kSlabRows; ++y) sum += of_row[y][threadIdx.x];
  store_bias_gradient(p.gates, column / H, column % H, sum);
}

}  // namespace

// The number of slabs must not depend on the alignment, because the caller allocates for it: it is that of whole packs, and a
// grid of single numbers, which is wider, takes the same height.
template <class T>
int64_t gates_backward_slabs(int64_t N, int64_t H) {
  return geometry(N, H, kPack<T>).grid.y;
}

template <class T>
cudaError_t gates_backward(const GatesBackwardArgs<T>& p, cudaStream_t stream) {
  if (p.H == 0) return cudaSuccess;
  const bool packs = fits_packs<T>({p.grad, p.saved, p.h, p.d_input_gates, p.d_hidden_gates, p.d_h}, {p.H, p.h_row});
  Geometry g = geometry(p.N, p.H, packs ? kPack<T> : 1);
  const int64_t slabs = gates_backward_slabs<T>(p.N, p.H);
  g.grid.y = static_cast<unsigned>(slabs);
  const cudaError_t error =
      launch(packs ? gates_backward_kernel<T, kPack<T>> : gates_backward_kernel<T, 1>, g.grid, g.block, p, stream);
  if (error != cudaSuccess || slabs == 1 || (p.d_b_ih == nullptr && p.d_b_hh == nullptr)) return error;
  return launch(sum_slabs_kernel<T>, dim3(static_cast<unsigned>(ceil_div(kGates * p.H, 32))), dim3(32, kSlabRows),
                SumSlabsArgs<T>{p, slabs}, stream);
}

template int64_t gates_backward_slabs<float>(int64_t, int64_t);
template int64_t gates_backward_slabs<double>(int64_t, int64_t);
template int64_t gates_backward_slabs<__half>(int64_t, int64_t);
template int64_t gates_backward_slabs<__nv_bfloat16>(int64_t, int64_t);
template cudaError_t gates_backward(const GatesBackwardArgs<float>&, cudaStream_t);
template cudaError_t gates_backward(const GatesBackwardArgs<double>&, cudaStream_t);
template cudaError_t gates_backward(const GatesBackwardArgs<__half>&, cudaStream_t);
template cudaError_t gates_backward(const GatesBackwardArgs<__nv_bfloat16>&, cudaStream_t);

}  // namespace gru_ext::cuda
