// From tensors to what every device's kernels take: pointers to rows of contiguous numbers.
#pragma once

#include "ops/checks.h"

namespace gru_ext {

// The tensor itself if each of its rows is contiguous, so that a slice such as x[:, t] is not copied; else a copy.
inline Tensor with_contiguous_rows(const Tensor& t) {
  const bool rows = t.dim() == 2 && (t.size(1) <= 1 || t.stride(1) == 1);
  return rows && !t.is_neg() ? t : t.resolve_neg().contiguous();
}

inline Tensor dense(const Tensor& t) { return t.resolve_neg().contiguous(); }

inline OptionalTensor dense(const OptionalTensor& t) { return has(t) ? OptionalTensor(dense(*t)) : std::nullopt; }

template <class T>
const T* read(const Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}

template <class T>
const T* read(const OptionalTensor& t) {
  return t ? read<T>(*t) : nullptr;
}

template <class T>
T* write(const Tensor& t) {
  return t.defined() ? static_cast<T*>(t.mutable_data_ptr()) : nullptr;
}

// The dtype that numbers of a dtype are computed in.
inline at::ScalarType compute_dtype(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace gru_ext
