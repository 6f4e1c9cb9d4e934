// What the CUDA kernels take, and the functions that launch them: all that the adapter sees of this folder. Every pointer is to
// device memory. The number types T are float, double, __half and __nv_bfloat16. The launchers only queue work on the stream:
// nothing is allocated, copied or waited for, so a step can be captured in a CUDA graph. They return what the runtime says of
// the launches. A grid never depends on the device, so neither do the numbers.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace gru_ext::cuda {

// What a T is computed in: sums of products and everything in the gates.
template <class T>
struct ComputeType {
  using type = float;
};
template <>
struct ComputeType<double> {
  using type = double;
};
template <class T>
using Compute = typename ComputeType<T>::type;

// The gates of a step from its two matrix products, and the next state.
template <class T>
struct GatesForwardArgs {
  const T *input_gates, *hidden_gates;  // [N, 3H]: x W_ih^T and h W_hh^T, without biases
  const T* h;                           // [N, H], h_row numbers from one row to the next
  const T *b_ih, *b_hh;                 // [3H], or null
  T* hy;                                // [N, H]
  T* saved;                             // r | z | n | q, [N, 4H], or null
  int64_t N, H, h_row;
};

template <class T>
cudaError_t gates_forward(const GatesForwardArgs<T>& args, cudaStream_t stream);

// The gradients of the gates of a step, of its biases, and of h as far as it does not pass through W_hh.
template <class T>
struct GatesBackwardArgs {
  const T* grad;                      // of hy, [N, H]
  const T* saved;                     // r | z | n | q, [N, 4H]
  const T* h;                         // [N, H], h_row numbers from one row to the next
  T *d_input_gates, *d_hidden_gates;  // of the two products, [N, 3H]
  T* d_h;                             // grad * z, [N, H], or null
  T *d_b_ih, *d_b_hh;                 // [3H], each may be null
  Compute<T>* partial_sums;           // memory for [gates_backward_slabs(N, H), 4H]; may be null where both biases are
  int64_t N, H, h_row;
};

// Into how many parts, each summed by itself, the rows are divided for the gradients of the biases.
template <class T>
int64_t gates_backward_slabs(int64_t N, int64_t H);

template <class T>
cudaError_t gates_backward(const GatesBackwardArgs<T>& args, cudaStream_t stream);

// Up to this many rows, products are done here instead of by a matrix library; the launchers below refuse more.
constexpr int64_t kSmallBatch = 8;

// A whole step of at most kSmallBatch rows: both products and the gates in one kernel that reads the weights once.
template <class T>
struct SmallBatchArgs {
  const T* x;            // [N, I], x_row numbers from one row to the next
  const T* h;            // [N, H], h_row numbers from one row to the next
  const T *w_ih, *w_hh;  // [3H, I], [3H, H]
  const T *b_ih, *b_hh;  // [3H], or null
  T* hy;                 // [N, H]
  T* saved;              // r | z | n | q, [N, 4H], or null
  int64_t N, I, H, x_row, h_row;
};

template <class T>
cudaError_t small_batch_forward(const SmallBatchArgs<T>& args, cudaStream_t stream);

// The gradients of the weights for at most kSmallBatch rows: d_w[i, k] = sum over n of d_gates[n, i] * in[n, k], in one kernel.
template <class T>
struct SmallBatchWeightsArgs {
  const T *d_input_gates, *d_hidden_gates;  // [N, 3H]
  const T *x, *h;                           // as above
  T *d_w_ih, *d_w_hh;                       // [3H, I], [3H, H], each may be null
  int64_t N, I, H, x_row, h_row;
};

template <class T>
cudaError_t small_batch_weights(const SmallBatchWeightsArgs<T>& args, cudaStream_t stream);

}  // namespace gru_ext::cuda
