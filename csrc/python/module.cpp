// gru_ext._C: the short way from Python to the op, past the parsing of torch.ops.
#include <pybind11/pybind11.h>

#include "python/cell.h"
#include "python/packed.h"
#include "python/stream.h"

namespace {

using FastCall = PyObject*(PyObject*, PyObject* const*, Py_ssize_t);

PyMethodDef method(const char* name, FastCall* function, const char* doc) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, doc};
}

PyMethodDef methods[] = {
    method("gru_cell", gru_ext::python::gru_cell,
           "gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh): the op for plain tensors, else NotImplemented"),
    method("cell_forward", gru_ext::python::cell_forward,
           "cell_forward(cell, input, hx): GRUCell.forward for plain tensors and weights, else NotImplemented"),
    method("cell_call", gru_ext::python::cell_call,
           "cell_call(cell, args, kwargs): cell_forward where no hook is called and no other forward, else NotImplemented"),
    method("cell_class", gru_ext::python::cell_class, "cell_class(GRUCell): the class that cell_call stands for"),
    method("packed_step", gru_ext::python::packed_step,
           "packed_step(packed, x, h, out): the op for plain tensors, else NotImplemented"),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "gru_ext's short way into its op library";
  if (PyModule_AddFunctions(m.ptr(), methods) != 0) throw pybind11::error_already_set();
  gru_ext::python::bind_stream(m);
}
