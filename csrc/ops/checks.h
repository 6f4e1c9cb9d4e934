// Every check of arguments, written once: what PyTorch's own cell says of the same mistake, in the same order.
#pragma once

#include "ops/schema.h"

namespace gru_ext {

// ValueError unless input and hx have one or two dimensions.
void check_ranks(const Tensor& input, const OptionalTensor& hx);

// Sizes of the 2-D step: input [N, I], hx [N, H], w_ih [3H, I], w_hh [3H, H]. Biases are left to the fused path's test below.
void check_sizes(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh);

// RuntimeError if one tensor is on a CUDA device and another is elsewhere: PyTorch's own operators would say so, but only after
// the first of them has begun. Other devices are left to them.
void check_devices(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                   const OptionalTensor& b_hh);

// Sizes of the arguments of the backward step against those of its forward step: grad [N, H], saved [N, 4H].
void check_backward_sizes(const Tensor& grad, const Tensor& saved, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                          const Tensor& w_hh);

// Whether the fused kernels take these arguments: one real dtype, one device that has kernels, dense, biases of [3H].
// What they do not take goes to the decomposition, which gives PyTorch's results and PyTorch's errors.
bool fusable(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
             const OptionalTensor& b_hh);

// Error unless fusable: for the inner ops, which have nothing to fall back to.
void check_fusable(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                   const OptionalTensor& b_hh);

// Numbers are compared as numbers: SymInt's own comparison takes a hundred instructions for them too.
inline bool same_size(const c10::SymInt& a, const c10::SymInt& b) {
  return a.is_heap_allocated() || b.is_heap_allocated() ? a == b : a.as_int_unchecked() == b.as_int_unchecked();
}

inline bool has(const OptionalTensor& t) { return t.has_value() && t->defined(); }

}  // namespace gru_ext
