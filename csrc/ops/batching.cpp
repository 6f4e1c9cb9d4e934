// vmap: samples that share the weights become more rows of one fused step; per-sample weights become batched products.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/functorch/BatchedTensorImpl.h>
#include <torch/library.h>

#include <algorithm>

#include "ops/checks.h"
#include "ops/decomposition.h"
#include "ops/schema.h"

namespace gru_ext {
namespace {

using at::functorch::maybeGetBatchedImpl;

constexpr int64_t kNotBatched = -1;

int64_t level_of(const Tensor& t) {
  const auto* batched = maybeGetBatchedImpl(t);
  return batched ? batched->level() : kNotBatched;
}

int64_t level_of(const OptionalTensor& t) { return has(t) ? level_of(*t) : kNotBatched; }

// The tensor below vmap level `level` with its batch dimension first: [B, ...], B = 1 if it has none there.
Tensor batch_first(const Tensor& t, int64_t level) {
  if (level_of(t) != level) return t.unsqueeze(0);
  const auto* batched = maybeGetBatchedImpl(t);
  return batched->value().movedim(batched->bdim(), 0);
}

// [1 or B, N, K] -> [B * N, K]
Tensor as_rows(const Tensor& t, const c10::SymInt& B) {
  return t.expand_symint({B, t.sym_size(1), t.sym_size(2)}).reshape_symint({B * t.sym_size(1), t.sym_size(2)});
}

Tensor cell_batched(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                    const OptionalTensor& b_hh) {
  const int64_t level = std::max(level_of(input), level_of(hx));
  const int64_t weight_level = std::max({level_of(w_ih), level_of(w_hh), level_of(b_ih), level_of(b_hh)});
  if (weight_level >= level || !fusable(input, hx, w_ih, w_hh, b_ih, b_hh))
    return decomposition::cell(input, hx, w_ih, w_hh, b_ih, b_hh);
  check_sizes(input, hx, w_ih, w_hh);
  // Everything below works on the tensors under this level.
  const c10::impl::ExcludeDispatchKeyGuard no_batching(c10::DispatchKey::FuncTorchBatched);
  const Tensor x = batch_first(input, level), h = batch_first(hx, level);
  const auto B = level_of(input) == level ? x.sym_size(0) : h.sym_size(0);
  const Tensor y = op::cell(as_rows(x, B), as_rows(h, B), w_ih, w_hh, b_ih, b_hh);
  return at::functorch::makeBatched(y.reshape_symint({B, h.sym_size(1), h.sym_size(2)}), 0, level);
}

}  // namespace
}  // namespace gru_ext

TORCH_LIBRARY_IMPL(gru_ext, FuncTorchBatched, m) {
  m.impl("_cell", gru_ext::cell_batched);
  m.impl("_cell_forward", gru_ext::decomposition::cell_forward);
  m.impl("_cell_backward", gru_ext::decomposition::cell_backward);
}
