// What the CPU kernels take besides pointers to tensors' rows: the kernels of a dtype, new tensors, scratch memory.
#pragma once

#include <ATen/EmptyTensor.h>
#include <c10/core/CPUAllocator.h>

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

// Uninitialised memory, 64-byte aligned, for one thread; null if it is for no numbers.
template <class S>
class Scratch {
 public:
  explicit Scratch(int64_t count) {
    if (count > 0) data_ = c10::GetCPUAllocator()->allocate(static_cast<size_t>(count) * sizeof(S));
  }
  S* data() const { return static_cast<S*>(data_.get()); }

 private:
  at::DataPtr data_;
};

}  // namespace gru_ext::cpu
