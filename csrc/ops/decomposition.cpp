#include "ops/decomposition.h"

#define AT_PER_OPERATOR_HEADERS
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/new_empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <torch/library.h>

#include "gates.h"
#include "ops/checks.h"

namespace gru_ext::decomposition {
namespace {

// Block k of width H of the last dimension.
Tensor block(const Tensor& t, int64_t k, const c10::SymInt& H) { return t.narrow_symint(-1, H * k, H); }

Gates<Tensor> gates_of(const Tensor& input_gates, const Tensor& hidden_gates, const c10::SymInt& H) {
  return gates(block(input_gates, 0, H) + block(hidden_gates, 0, H), block(input_gates, 1, H) + block(hidden_gates, 1, H),
               block(input_gates, 2, H), block(hidden_gates, 2, H));
}

}  // namespace

Tensor from_projections(const Tensor& input_gates, const Tensor& hidden_gates, const Tensor& hx) {
  return next_state(gates_of(input_gates, hidden_gates, hx.sym_size(-1)), hx);
}

Tensor cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
            const OptionalTensor& b_hh) {
  check_devices(input, hx, w_ih, w_hh, b_ih, b_hh);
  check_sizes(input, hx, w_ih, w_hh);
  return from_projections(at::linear(input, w_ih, b_ih), at::linear(hx, w_hh, b_hh), hx);
}

std::tuple<Tensor, Tensor> cell_forward(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                        const OptionalTensor& b_ih, const OptionalTensor& b_hh, bool save) {
  check_sizes(input, hx, w_ih, w_hh);
  const auto s = gates_of(at::linear(input, w_ih, b_ih), at::linear(hx, w_hh, b_hh), hx.sym_size(-1));
  return {next_state(s, hx), save ? at::cat({s.r, s.z, s.n, s.q}, -1) : hx.new_empty({0})};
}

Grads cell_backward(const Tensor& grad, const Tensor& saved, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                    const Tensor& w_hh, OutputMask output_mask) {
  const auto H = hx.sym_size(-1);
  const Gates<Tensor> s{block(saved, 0, H), block(saved, 1, H), block(saved, 2, H), block(saved, 3, H)};
  const auto d = gates_backward(grad, hx, s);
  const Tensor d_input_gates = at::cat({d.r, d.z, d.n}, -1), d_hidden_gates = at::cat({d.r, d.z, d.q}, -1);
  // Each its own tensor, because the outputs of an op may not alias; and of the kind of grad, which may be a DTensor.
  const auto none = [&] { return grad.new_empty({0}); };
  return {output_mask[0] ? at::matmul(d_input_gates, w_ih) : none(),
          output_mask[1] ? at::matmul(d_hidden_gates, w_hh) + state_backward(grad, s) : none(),
          output_mask[2] ? at::matmul(d_input_gates.transpose(-1, -2), input) : none(),
          output_mask[3] ? at::matmul(d_hidden_gates.transpose(-1, -2), hx) : none(),
          output_mask[4] ? d_input_gates.sum(-2) : none(),
          output_mask[5] ? d_hidden_gates.sum(-2) : none()};
}

}  // namespace gru_ext::decomposition

// Devices without kernels of their own.
TORCH_LIBRARY_IMPL(gru_ext, CompositeExplicitAutograd, m) {
  m.impl("_cell", gru_ext::decomposition::cell);
  m.impl("_cell_forward", gru_ext::decomposition::cell_forward);
  m.impl("_cell_backward", gru_ext::decomposition::cell_backward);
}
