// From tensors to what the kernels take: pointers to rows of contiguous numbers, the kernels of a dtype, scratch memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>

#include <optional>
#include <utility>

#include "cpu/levels.h"
#include "ops/checks.h"

namespace gru_ext::cpu {

// The tensor itself if each of its rows is contiguous, so that a slice such as x[:, t] is not copied; else a copy.
inline at::Tensor with_contiguous_rows(const at::Tensor& t) {
  const bool rows = t.dim() == 2 && (t.size(1) <= 1 || t.stride(1) == 1);
  return rows && !t.is_neg() ? t : t.resolve_neg().contiguous();
}

inline at::Tensor dense(const at::Tensor& t) { return t.resolve_neg().contiguous(); }

inline std::optional<at::Tensor> dense(const std::optional<at::Tensor>& t) {
  return has(t) ? std::optional<at::Tensor>(dense(*t)) : std::nullopt;
}

template <class T>
const T* read(const at::Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}

template <class T>
const T* read(const std::optional<at::Tensor>& t) {
  return t ? read<T>(*t) : nullptr;
}

template <class T>
T* write(const at::Tensor& t) {
  return t.defined() ? static_cast<T*>(t.mutable_data_ptr()) : nullptr;
}

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

// The dtype of Compute<T>.
inline at::ScalarType compute_dtype(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

// Uninitialised memory, 64-byte aligned, for one thread.
template <class S>
class Scratch {
 public:
  explicit Scratch(int64_t count) : data_(c10::GetCPUAllocator()->allocate(static_cast<size_t>(count) * sizeof(S))) {}
  S* data() { return static_cast<S*>(data_.get()); }

 private:
  at::DataPtr data_;
};

}  // namespace gru_ext::cpu
