#include "python/floats.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/python_variable.h>

#include <functional>
#include <string>

namespace py = pybind11;

namespace gru_ext::python {
namespace {

std::string text(const std::vector<int64_t>& shape) {
  std::string all;
  for (const int64_t size : shape) all += (all.empty() ? "" : ", ") + (size < 0 ? std::string("any") : std::to_string(size));
  return "[" + all + "]";
}

std::string expected(const char* name, const std::string& what, const std::string& got) {
  return std::string("Stream: expected ") + name + " to be " + what + ", got " + got;
}

}  // namespace

Floats::Floats(py::handle object, const char* name, bool writable)
    : object_(py::reinterpret_borrow<py::object>(object)), name_(name) {
  if (!THPVariable_Check(object.ptr()) && !PyObject_CheckBuffer(object.ptr()) && py::hasattr(object, "__dlpack__"))
    object_ = py::module_::import("torch").attr("from_dlpack")(object);
  if (THPVariable_Check(object_.ptr()))
    take_tensor(writable);
  else if (PyObject_CheckBuffer(object_.ptr()))
    take_buffer(writable);
  else
    throw py::type_error(expected(name, "a tensor or have the buffer protocol or DLPack", Py_TYPE(object.ptr())->tp_name));
}

Floats::~Floats() {
  if (buffer_) PyBuffer_Release(&*buffer_);
}

void Floats::take_tensor(bool writable) {
  const at::Tensor& t = THPVariable_Unpack(object_.ptr());
  if (t.scalar_type() != at::kFloat || !t.is_cpu() || t.layout() != at::kStrided || !t.is_contiguous() || t.is_neg())
    throw py::value_error(
        expected(name_, "a contiguous float32 tensor on the CPU",
                 std::string(t.is_cpu() && t.scalar_type() == at::kFloat ? "one that is not contiguous, " : "") +
                     at::toString(t.scalar_type()) + " on " + t.device().str()));
  if (at::GradMode::is_enabled() && t.requires_grad())
    throw std::runtime_error(std::string("Stream has no gradients, but one of ") + name_ + " is asked for: call it with " +
                             name_ + ".detach()");
  data_ = static_cast<float*>(writable ? t.mutable_data_ptr() : const_cast<void*>(t.const_data_ptr()));
  shape_.assign(t.sizes().begin(), t.sizes().end());
  is_tensor_ = true;
}

void Floats::take_buffer(bool writable) {
  Py_buffer view;
  // The error then is Python's own BufferError or ValueError, which says whether order or writing is the matter.
  if (PyObject_GetBuffer(object_.ptr(), &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) != 0)
    throw py::error_already_set();
  buffer_ = view;
  const std::string format = view.format == nullptr ? "B" : view.format;
  if (format != "f") {
    PyBuffer_Release(&*buffer_);
    buffer_.reset();
    throw py::value_error(expected(name_, "float32, format 'f'", "format '" + format + "'"));
  }
  data_ = static_cast<float*>(view.buf);
  shape_.assign(view.shape, view.shape + view.ndim);
}

int64_t Floats::count() const {
  int64_t product = 1;
  for (const int64_t size : shape_) product *= size;
  return product;
}

void Floats::check_shape(const std::vector<int64_t>& sizes) const {
  bool fits = sizes.size() == shape_.size();
  for (size_t i = 0; fits && i < sizes.size(); ++i) fits = sizes[i] < 0 || sizes[i] == shape_[i];
  if (!fits) throw py::value_error(expected(name_, "of shape " + text(sizes), text(shape_)));
}

void Floats::check_apart(const float* begin, int64_t size, const char* what) const {
  const std::less<const float*> before;
  if (before(begin, data_ + count()) && before(data_, begin + size))
    throw py::value_error(std::string("Stream: ") + name_ + " lies in the same memory as " + what);
}

}  // namespace gru_ext::python
