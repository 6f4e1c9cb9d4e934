// The ops as C++ functions that go through PyTorch's dispatcher: each call sees autograd, vmap, autocast and tracing.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <tuple>

namespace gru_ext {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// Gradients in the order of the forward arguments: input, hx, w_ih, w_hh, b_ih, b_hh.
using Grads = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;
using OutputMask = std::array<bool, 6>;

namespace op {

// input [N, I], hx [N, H], w_ih [3H, I], w_hh [3H, H], b_ih [3H], b_hh [3H] -> hy [N, H]
Tensor cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
            const OptionalTensor& b_hh);

// The same from the first of `keys` on, for a kernel that hands its call down.
Tensor redispatch_cell(c10::DispatchKeySet keys, const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                       const OptionalTensor& b_ih, const OptionalTensor& b_hh);

// cell's result, and saved [N, 4H] = r | z | n | q of each row; saved is [0] if save is false.
std::tuple<Tensor, Tensor> cell_forward(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                        const OptionalTensor& b_ih, const OptionalTensor& b_hh, bool save);

// grad [N, H]. A gradient that output_mask does not ask for comes back as an empty tensor of size [0], because a schema
// cannot return an optional tensor to TorchScript and the compilers.
Grads cell_backward(const Tensor& grad, const Tensor& saved, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                    const Tensor& w_hh, OutputMask output_mask);

}  // namespace op
}  // namespace gru_ext
