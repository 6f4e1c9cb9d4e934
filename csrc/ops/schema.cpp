// The schemas, and the typed handles through which C++ calls the ops.
#include "ops/schema.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include "gru_ext/ops.h"

namespace gru_ext {
namespace {

template <class Signature>
auto handle(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

const auto& cell_handle() {
  static const auto op = handle<decltype(op::cell)>("gru_ext::_cell");
  return op;
}

}  // namespace

Tensor gru_cell(const Tensor& input, const OptionalTensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                const OptionalTensor& b_ih, const OptionalTensor& b_hh) {
  static const auto op = handle<decltype(gru_cell)>("gru_ext::gru_cell");
  return op.call(input, hx, w_ih, w_hh, b_ih, b_hh);
}

namespace op {

Tensor cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
            const OptionalTensor& b_hh) {
  return cell_handle().call(input, hx, w_ih, w_hh, b_ih, b_hh);
}

Tensor redispatch_cell(c10::DispatchKeySet keys, const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                       const OptionalTensor& b_ih, const OptionalTensor& b_hh) {
  return cell_handle().redispatch(keys, input, hx, w_ih, w_hh, b_ih, b_hh);
}

std::tuple<Tensor, Tensor> cell_forward(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                        const OptionalTensor& b_ih, const OptionalTensor& b_hh, bool save) {
  static const auto op = handle<decltype(cell_forward)>("gru_ext::_cell_forward");
  return op.call(input, hx, w_ih, w_hh, b_ih, b_hh, save);
}

Grads cell_backward(const Tensor& grad, const Tensor& saved, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                    const Tensor& w_hh, OutputMask output_mask) {
  static const auto op = handle<decltype(cell_backward)>("gru_ext::_cell_backward");
  return op.call(grad, saved, input, hx, w_ih, w_hh, output_mask);
}

}  // namespace op
}  // namespace gru_ext

TORCH_LIBRARY(gru_ext, m) {
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
  m.def("gru_cell(Tensor input, Tensor? hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor", tags);
  m.def("_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh) -> Tensor", tags);
  m.def(
      "_cell_forward(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, bool save)"
      " -> (Tensor hy, Tensor saved)",
      tags);
  m.def(
      "_cell_backward(Tensor grad, Tensor saved, Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, bool[6] output_mask)"
      " -> (Tensor d_input, Tensor d_hx, Tensor d_w_ih, Tensor d_w_hh, Tensor d_b_ih, Tensor d_b_hh)",
      tags);
  m.def("_cpu_level() -> str", gru_ext::cpu_level);
  m.def("_cpu_levels() -> str[]", gru_ext::cpu_levels);
}
