// From tensors to what every device's kernels take: pointers to rows of contiguous numbers.
#pragma once

#include <c10/util/MaybeOwned.h>

#include "ops/checks.h"

namespace gru_ext {

// A tensor that need not be copied is not counted as used either: where Python holds it too, counting takes the interpreter's
// lock.
using Operand = c10::MaybeOwned<Tensor>;

inline Operand in_place_if(bool possible, const Tensor& t) {
  return possible && !t.is_neg() ? Operand::borrowed(t) : Operand::owned(t.resolve_neg().contiguous());
}

// The tensor itself if each of its rows is contiguous, so that a slice such as x[:, t] is not copied; else a copy.
inline Operand with_contiguous_rows(const Tensor& t) {
  return in_place_if(t.dim() >= 1 && (t.size(-1) <= 1 || t.stride(-1) == 1), t);
}

inline Operand dense(const Tensor& t) { return in_place_if(t.is_contiguous(), t); }

// Of no tensor an undefined one.
inline Operand dense(const OptionalTensor& t) { return has(t) ? dense(*t) : Operand::owned(Tensor()); }

// Null for an undefined tensor.
template <class T>
const T* read(const Tensor& t) {
  return t.defined() ? static_cast<const T*>(t.const_data_ptr()) : nullptr;
}

template <class T>
const T* read(const Operand& t) {
  return read<T>(*t);
}

template <class T>
T* write(const Tensor& t) {
  return t.defined() ? static_cast<T*>(t.mutable_data_ptr()) : nullptr;
}

// The dtype that numbers of a dtype are computed in.
inline at::ScalarType compute_dtype(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace gru_ext
