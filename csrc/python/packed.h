// gru_ext._C.packed_step, and how it finds the C++ object in its Python one.
#pragma once

#include <pybind11/pybind11.h>

#include "ops/packed.h"

namespace gru_ext::python {

// The torch.classes.gru_ext.PackedGRU in a Python object, or null for any other object.
PackedPtr packed_in(pybind11::handle object);

// packed_step(packed, x, h, out): the op's result, or NotImplemented where only torch.ops will do.
PyObject* packed_step(PyObject*, PyObject* const* arguments, Py_ssize_t count);

}  // namespace gru_ext::python
