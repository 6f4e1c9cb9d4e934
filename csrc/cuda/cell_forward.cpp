// The CUDA kernels of the forward ops.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include "cuda/queue.h"
#include "ops/forward_ops.h"
#include "ops/operands.h"

namespace gru_ext::cuda {
namespace {

// A Step of ops/forward_ops.h.
std::tuple<Tensor, Tensor> step(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                const OptionalTensor& b_ih_, const OptionalTensor& b_hh_, bool save) {
  const c10::cuda::CUDAGuard device(input.device());
  check_sizes(input, hx, w_ih, w_hh);
  const Operand h = with_contiguous_rows(hx);
  const Operand b_ih = dense(b_ih_), b_hh = dense(b_hh_);
  const int64_t N = hx.size(0), I = input.size(1), H = hx.size(1);
  const Tensor hy = at::empty({N, H}, hx.options());
  const Tensor saved = save ? at::empty({N, 4 * H}, hx.options()) : Tensor();
  with_number_type(hx.scalar_type(), [&](auto type) {
    using T = typename decltype(type)::type;
    const T *const b_i = read<T>(b_ih), *const b_h = read<T>(b_hh);
    const auto stream = c10::cuda::getCurrentCUDAStream();
    if (N <= kSmallBatch) {
      const Operand x = with_contiguous_rows(input), w_i = dense(w_ih), w_h = dense(w_hh);
      C10_CUDA_CHECK(small_batch_forward<T>({read<T>(x), read<T>(h), read<T>(w_i), read<T>(w_h), b_i, b_h, write<T>(hy),
                                             write<T>(saved), N, I, H, x->stride(0), h->stride(0)},
                                            stream));
      return;
    }
    const Tensor input_gates = product(input, w_ih.t()), hidden_gates = product(*h, w_hh.t());
    C10_CUDA_CHECK(gates_forward<T>(
        {read<T>(input_gates), read<T>(hidden_gates), read<T>(h), b_i, b_h, write<T>(hy), write<T>(saved), N, H, h->stride(0)},
        stream));
  });
  return {hy, saved};
}

}  // namespace
}  // namespace gru_ext::cuda

TORCH_LIBRARY_IMPL(gru_ext, CUDA, m) {
  m.impl("_cell", gru_ext::cell_from<gru_ext::cuda::step>);
  m.impl("_cell_forward", gru_ext::cell_forward_from<gru_ext::cuda::step>);
}
