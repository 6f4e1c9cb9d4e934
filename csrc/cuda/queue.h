// What the adapter needs to queue work: the number type of a dtype, and the matrix products of PyTorch.
#pragma once

#define AT_PER_OPERATOR_HEADERS
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "cuda/kernels/kernels.h"

namespace gru_ext::cuda {

template <class T>
struct NumberType {
  using type = T;
};

// Calls f(NumberType<T>()) for the T of the dtype, which is one that fusable() in ops/checks.h lets through.
template <class F>
auto with_number_type(at::ScalarType dtype, const F& f) {
  switch (dtype) {
    case at::kFloat:
      return f(NumberType<float>());
    case at::kDouble:
      return f(NumberType<double>());
    case at::kBFloat16:
      return f(NumberType<__nv_bfloat16>());
    default:
      return f(NumberType<__half>());
  }
}

// PyTorch's products, so that its settings for TF32, reduced precision and determinism hold here too. Autocast, if it is on
// where a backward runs, must not cast their operands: results are of the operands' dtype.
inline at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return at::mm(a, b);
}

inline void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  at::addmm_out(sum, sum, a, b);
}

}  // namespace gru_ext::cuda
