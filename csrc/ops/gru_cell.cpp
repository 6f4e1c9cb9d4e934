// gru_ext::gru_cell, the public op: one or two dimensions, a state that may be absent; then the 2-D op does the work.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include "ops/operands.h"
#include "ops/schema.h"

namespace gru_ext {
namespace {

Tensor gru_cell_composite(const Tensor& input, const OptionalTensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                          const OptionalTensor& b_ih, const OptionalTensor& b_hh) {
  check_ranks(input, hx);
  const bool batched = input.dim() == 2;
  const auto rows = [&](const Tensor& t) { return batched ? Operand::borrowed(t) : Operand::owned(t.unsqueeze(0)); };
  const Operand x = rows(input);
  const auto zeros = [&] {
    return Operand::owned(at::zeros_symint({x->sym_size(0), w_hh.sym_size(1)}, x->options().layout(at::kStrided)));
  };
  const Operand h = has(hx) ? rows(*hx) : zeros();
  // A rank of hx that differs from input's shows here, with the text that PyTorch's cell has for it.
  if (h->dim() != 2) check_sizes(*x, *h, w_ih, w_hh);
  Tensor y = op::cell(*x, *h, w_ih, w_hh, b_ih, b_hh);
  return batched ? y : y.squeeze(0);
}

}  // namespace
}  // namespace gru_ext

TORCH_LIBRARY_IMPL(gru_ext, CompositeImplicitAutograd, m) { m.impl("gru_cell", gru_ext::gru_cell_composite); }
// functorch does not look below this key for a composite kernel: vmap would fall back to a loop over the samples.
TORCH_LIBRARY_IMPL(gru_ext, FuncTorchBatched, m) { m.impl("gru_cell", gru_ext::gru_cell_composite); }
