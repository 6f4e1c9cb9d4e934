// The CUDA kernel of the backward op: gradients of the gates in one pass, then the matrix products that are asked for.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include "cuda/queue.h"
#include "ops/operands.h"

namespace gru_ext::cuda {
namespace {

Grads cell_backward(const Tensor& grad_, const Tensor& saved_, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                    const Tensor& w_hh, OutputMask output_mask) {
  check_backward_sizes(grad_, saved_, input, hx, w_ih, w_hh);
  check_fusable(input, hx, w_ih, w_hh, std::nullopt, std::nullopt);
  const c10::cuda::CUDAGuard device(input.device());
  const Operand x = with_contiguous_rows(input), h = with_contiguous_rows(hx), grad = dense(grad_), saved = dense(saved_);
  const int64_t N = hx.size(0), I = input.size(1), H = hx.size(1);
  const auto options = hx.options();
  const auto wanted = [&](size_t i, at::IntArrayRef sizes) { return output_mask[i] ? at::empty(sizes, options) : Tensor(); };
  const bool small = N <= kSmallBatch;
  Tensor d_input, d_hx = wanted(1, {N, H}), d_w_ih, d_w_hh;
  const Tensor d_b_ih = wanted(4, {3 * H}), d_b_hh = wanted(5, {3 * H});
  const Tensor d_input_gates = at::empty({N, 3 * H}, options), d_hidden_gates = at::empty({N, 3 * H}, options);

  with_number_type(hx.scalar_type(), [&](auto type) {
    using T = typename decltype(type)::type;
    const auto stream = c10::cuda::getCurrentCUDAStream();
    T *const di = write<T>(d_input_gates), *const dh = write<T>(d_hidden_gates);
    Tensor sums;
    if (output_mask[4] || output_mask[5])
      sums = at::empty({gates_backward_slabs<T>(N, H), 4 * H}, options.dtype(compute_dtype(hx.scalar_type())));
    C10_CUDA_CHECK(gates_backward<T>({read<T>(grad), read<T>(saved), read<T>(h), di, dh, write<T>(d_hx), write<T>(d_b_ih),
                                      write<T>(d_b_hh), write<Compute<T>>(sums), N, H, h->stride(0)},
                                     stream));
    if (small && (output_mask[2] || output_mask[3])) {
      d_w_ih = wanted(2, {3 * H, I});
      d_w_hh = wanted(3, {3 * H, H});
      C10_CUDA_CHECK(small_batch_weights<T>(
          {di, dh, read<T>(x), read<T>(h), write<T>(d_w_ih), write<T>(d_w_hh), N, I, H, x->stride(0), h->stride(0)}, stream));
    }
  });
  if (output_mask[0]) d_input = product(d_input_gates, w_ih);
  if (output_mask[1]) add_product(d_hx, d_hidden_gates, w_hh);
  if (output_mask[2] && !small) d_w_ih = product(d_input_gates.t(), *x);
  if (output_mask[3] && !small) d_w_hh = product(d_hidden_gates.t(), *h);

  // Each its own tensor: the outputs of an op may not alias each other.
  const auto result = [&](const Tensor& t) { return t.defined() ? t : at::empty({0}, options); };
  return {result(d_input), result(d_hx), result(d_w_ih), result(d_w_hh), result(d_b_ih), result(d_b_hh)};
}

}  // namespace
}  // namespace gru_ext::cuda

TORCH_LIBRARY_IMPL(gru_ext, CUDA, m) { m.impl("_cell_backward", gru_ext::cuda::cell_backward); }
