// float32 numbers in memory that a Python object lends: NumPy arrays and all with the buffer protocol, torch tensors, DLPack.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace gru_ext::python {

// Nothing is copied; the memory is held until this is gone, which needs the GIL. Hidden, as pybind11's classes are.
class __attribute__((visibility("hidden"))) Floats {
 public:
  // TypeError, ValueError or RuntimeError, in the name of the argument, unless the numbers are float32, in C order, on the CPU
  // and, if asked for, writable.
  Floats(pybind11::handle object, const char* name, bool writable);
  Floats(Floats&&) = delete;
  ~Floats();

  // ValueError unless it has these sizes; -1 stands for any.
  void check_shape(const std::vector<int64_t>& expected) const;
  // ValueError where the two have memory in common.
  void check_apart(const float* begin, int64_t count, const char* what) const;

  float* data() const { return data_; }
  int64_t size(size_t dim) const { return shape_[dim]; }
  int64_t count() const;
  bool is_tensor() const { return is_tensor_; }

 private:
  void take_tensor(bool writable);
  void take_buffer(bool writable);

  pybind11::object object_;
  const char* name_;
  float* data_ = nullptr;
  std::vector<int64_t> shape_;
  bool is_tensor_ = false;
  std::optional<Py_buffer> buffer_;
};

}  // namespace gru_ext::python
