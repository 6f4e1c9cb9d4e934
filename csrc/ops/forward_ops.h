// The forward ops of a device, from its step: for fusable arguments the next state [N, H], and r | z | n | q [N, 4H] if asked
// for, else an undefined tensor.
#pragma once

#define AT_PER_OPERATOR_HEADERS
#include <ATen/ops/empty.h>

#include "ops/checks.h"
#include "ops/decomposition.h"
#include "ops/schema.h"

namespace gru_ext {

using Step = std::tuple<Tensor, Tensor>(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                        const OptionalTensor& b_ih, const OptionalTensor& b_hh, bool save);

template <Step step>
Tensor cell_from(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                 const OptionalTensor& b_hh) {
  if (!fusable(input, hx, w_ih, w_hh, b_ih, b_hh)) return decomposition::cell(input, hx, w_ih, w_hh, b_ih, b_hh);
  return std::get<0>(step(input, hx, w_ih, w_hh, b_ih, b_hh, /*save=*/false));
}

template <Step step>
std::tuple<Tensor, Tensor> cell_forward_from(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                             const OptionalTensor& b_ih, const OptionalTensor& b_hh, bool save) {
  check_fusable(input, hx, w_ih, w_hh, b_ih, b_hh);
  auto [hy, saved] = step(input, hx, w_ih, w_hh, b_ih, b_hh, save);
  if (!save) saved = at::empty({0}, hx.options());
  return {std::move(hy), std::move(saved)};
}

}  // namespace gru_ext
