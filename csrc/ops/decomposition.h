// The cell in out-of-place ATen ops: forward-mode AD, functorch levels, double backward, complex and sparse numbers, mixed
// dtypes and devices without kernels all run on it, with PyTorch's results and PyTorch's error texts.
//
// Nothing here writes into the result of a matrix product: doing so is what gives torch.nn.GRUCell wrong gradients under
// selective activation checkpointing that caches such results.
#pragma once

#include "ops/schema.h"

namespace gru_ext::decomposition {

// The step from its two projections: input_gates = W_ih x + b_ih, hidden_gates = W_hh h + b_hh, both [N, 3H]; h [N, H].
Tensor from_projections(const Tensor& input_gates, const Tensor& hidden_gates, const Tensor& hx);

// Arguments and result of op::cell; checks sizes.
Tensor cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
            const OptionalTensor& b_hh);

// Arguments and results of op::cell_forward.
std::tuple<Tensor, Tensor> cell_forward(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                                        const OptionalTensor& b_ih, const OptionalTensor& b_hh, bool save);

// Arguments and results of op::cell_backward.
Grads cell_backward(const Tensor& grad, const Tensor& saved, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                    const Tensor& w_hh, OutputMask output_mask);

}  // namespace gru_ext::decomposition
