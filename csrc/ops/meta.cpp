// Shapes without numbers: FakeTensor, torch.compile, torch.export and device="meta".
#define AT_PER_OPERATOR_HEADERS
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "ops/checks.h"
#include "ops/decomposition.h"
#include "ops/schema.h"

namespace gru_ext {
namespace {

Tensor cell_meta(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                 const OptionalTensor& b_hh) {
  if (!fusable(input, hx, w_ih, w_hh, b_ih, b_hh)) return decomposition::cell(input, hx, w_ih, w_hh, b_ih, b_hh);
  check_sizes(input, hx, w_ih, w_hh);
  return at::empty_symint(hx.sym_sizes(), hx.options());
}

std::tuple<Tensor, Tensor> cell_forward_meta(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                             const OptionalTensor& b_ih, const OptionalTensor& b_hh, bool save) {
  check_fusable(input, hx, w_ih, w_hh, b_ih, b_hh);
  check_sizes(input, hx, w_ih, w_hh);
  const auto N = hx.sym_size(0), H = hx.sym_size(1);
  return {at::empty_symint({N, H}, hx.options()),
          save ? at::empty_symint({N, H * 4}, hx.options()) : at::empty({0}, hx.options())};
}

Grads cell_backward_meta(const Tensor& grad, const Tensor& saved, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                         const Tensor& w_hh, OutputMask output_mask) {
  check_backward_sizes(grad, saved, input, hx, w_ih, w_hh);
  const c10::SymDimVector bias = {w_hh.sym_size(0)};
  size_t next = 0;
  const auto like = [&](c10::SymIntArrayRef sizes) {
    return output_mask[next++] ? at::empty_symint(sizes, grad.options()) : at::empty({0}, grad.options());
  };
  // Braced initialisation evaluates from left to right.
  return Grads{like(input.sym_sizes()), like(hx.sym_sizes()), like(w_ih.sym_sizes()),
               like(w_hh.sym_sizes()),  like(bias),           like(bias)};
}

}  // namespace
}  // namespace gru_ext

TORCH_LIBRARY_IMPL(gru_ext, Meta, m) {
  m.impl("_cell", gru_ext::cell_meta);
  m.impl("_cell_forward", gru_ext::cell_forward_meta);
  m.impl("_cell_backward", gru_ext::cell_backward_meta);
}
