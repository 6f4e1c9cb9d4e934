// What the CPU kernels take besides pointers to tensors' rows: the kernels of a dtype, new tensors.
#pragma once

#include <ATen/EmptyTensor.h>

#include <utility>

#include "cpu/levels.h"
#include "ops/operands.h"

namespace gru_ext::cpu {

// The T of CellKernels<T>, for a function that takes the kernels of any dtype.
template <class T>
T number_of(const CellKernels<T>&);
template <class K>
using NumberOf = decltype(number_of(std::declval<K>()));

// Calls f(kernels of the dtype), which is one that fusable() in ops/checks.h lets through.
template <class F>
auto with_kernels(at::ScalarType dtype, const F& f) {
  switch (dtype) {
    case at::kFloat:
      return f(chosen_kernels().f32);
    case at::kDouble:
      return f(chosen_kernels().f64);
    case at::kBFloat16:
      return f(chosen_kernels().bf16);
    default:
      return f(chosen_kernels().f16);
  }
}

// Uninitialised and contiguous. at::empty would go through the dispatcher to what is called here: a tenth of a small step.
inline Tensor empty(at::IntArrayRef sizes, at::ScalarType dtype) { return at::detail::empty_cpu(sizes, dtype); }

}  // namespace gru_ext::cpu
