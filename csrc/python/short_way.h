// What the functions of gru_ext._C have in common: how they take tensors, and when they may go past torch.ops.
#pragma once

#include <ATen/PythonTorchFunctionTLS.h>
#include <c10/util/Exception.h>
#include <pybind11/pybind11.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/frontend/tracer.h>

#include <cstdint>
#include <memory>
#include <optional>

namespace gru_ext::python {

inline void check_count(const char* function, Py_ssize_t expected, Py_ssize_t count) {
  TORCH_CHECK_TYPE(count == expected, "gru_ext._C.", function, ": expected ", expected, " arguments, got ", count);
}

// Not under a torch function mode, nor under torch.jit.trace, which records calls of torch.ops.
inline bool only_torch_ops_will_do() { return at::impl::torch_function_mode_enabled() || torch::jit::tracer::isTracing(); }

// No subclass or proxy, whose own code only torch.ops calls.
inline bool is_plain(PyObject* object) { return THPVariable_CheckExact(object); }
inline bool is_plain_or_none(PyObject* object) { return object == Py_None || is_plain(object); }

// Other threads of Python may go on while a step computes; not for one that is over before one of them would be awake: giving
// the lock away and taking it back is a sixth of such a step.
inline std::unique_ptr<pybind11::gil_scoped_release> released_unless_short(int64_t multiply_adds) {
  constexpr int64_t kLong = 100'000;  // about 2 microseconds
  return multiply_adds < kLong ? nullptr : std::make_unique<pybind11::gil_scoped_release>();
}

// The tensor or None in an argument, for as long as the call. It is not counted as a reference: the caller has one, and to
// count a second one torch takes the interpreter's lock, which for six tensors takes as long as a small step.
class Borrowed {
 public:
  explicit Borrowed(PyObject* object) {
    if (object != Py_None) tensor_ = at::Tensor(Pointer::reclaim(THPVariable_Unpack(object).unsafeGetTensorImpl()));
  }
  ~Borrowed() {
    if (tensor_) tensor_->unsafeReleaseTensorImpl();
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  const std::optional<at::Tensor>& operator*() const { return tensor_; }

 private:
  using Pointer = c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  std::optional<at::Tensor> tensor_;
};

}  // namespace gru_ext::python
