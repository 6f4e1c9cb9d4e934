// gru_ext._C's ways from a module or from tensors to the op gru_ext::gru_cell, past the parsing of torch.ops.
#pragma once

#include <pybind11/pybind11.h>

namespace gru_ext::python {

// gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh): the op's result, or NotImplemented where only torch.ops will do: for tensor
// subclasses and proxies, under a torch function mode, and under torch.jit.trace, which records calls of torch.ops.
PyObject* gru_cell(PyObject*, PyObject* const* arguments, Py_ssize_t count);

// cell_forward(cell, input, hx): the same with the weights in cell._parameters, and NotImplemented where one is not there.
PyObject* cell_forward(PyObject*, PyObject* const* arguments, Py_ssize_t count);

// cell_call(cell, args, kwargs): cell_forward for what torch.nn.Module.__call__ was given, where that would do nothing but call
// GRUCell.forward; NotImplemented where there are hooks, another forward or keywords.
PyObject* cell_call(PyObject*, PyObject* const* arguments, Py_ssize_t count);

// cell_class(GRUCell): the class whose forward cell_call stands for; once, when it is defined.
PyObject* cell_class(PyObject*, PyObject* const* arguments, Py_ssize_t count);

}  // namespace gru_ext::python
