// gru_ext._C.Stream: one stream of a packed model, step by step, in the memory of NumPy arrays or tensors.
#pragma once

#include <pybind11/pybind11.h>

namespace gru_ext::python {

void bind_stream(pybind11::module_& m);

}  // namespace gru_ext::python
