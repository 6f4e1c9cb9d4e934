// gru_ext._C: the short way from Python to the op, past the parsing of torch.ops.
#include <ATen/core/dispatch/Dispatcher.h>
#include <pybind11/pybind11.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>

#include <optional>

#include "python/packed.h"
#include "python/short_way.h"
#include "python/stream.h"

namespace {

using at::Tensor;
using gru_ext::python::Borrowed;
using gru_ext::python::is_plain;
using gru_ext::python::is_plain_or_none;
using gru_ext::python::only_torch_ops_will_do;
using OptionalTensor = std::optional<Tensor>;
// Of the op gru_ext::gru_cell, which is found by name: this module is not linked to the op library.
using GruCell = Tensor(const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&, const OptionalTensor&,
                       const OptionalTensor&);
constexpr Py_ssize_t kArguments = 6;

// gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh): the op's result, or NotImplemented where only torch.ops will do: for tensor
// subclasses and proxies, under a torch function mode, and under torch.jit.trace, which records calls of torch.ops.
PyObject* gru_cell(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  TORCH_CHECK_TYPE(count == kArguments, "gru_ext._C.gru_cell: expected ", kArguments, " arguments, got ", count);
  for (Py_ssize_t i = 0; i < kArguments; ++i) {
    const bool optional = i == 1 || i >= 4;
    if (!(optional ? is_plain_or_none(arguments[i]) : is_plain(arguments[i]))) Py_RETURN_NOTIMPLEMENTED;
  }
  if (only_torch_ops_will_do()) Py_RETURN_NOTIMPLEMENTED;
  const auto tensor = [&](Py_ssize_t i) -> const Tensor& { return THPVariable_Unpack(arguments[i]); };
  const Borrowed hx(arguments[1]), b_ih(arguments[4]), b_hh(arguments[5]);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("gru_ext::gru_cell", "").typed<GruCell>();
  Tensor result;
  {
    const pybind11::gil_scoped_release no_gil;
    result = op.call(tensor(0), *hx, tensor(2), tensor(3), *b_ih, *b_hh);
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

using FastCall = PyObject*(PyObject*, PyObject* const*, Py_ssize_t);

PyMethodDef method(const char* name, FastCall* function, const char* doc) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, doc};
}

PyMethodDef methods[] = {
    method("gru_cell", gru_cell, "gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh): the op for plain tensors, else NotImplemented"),
    method("packed_step", gru_ext::python::packed_step,
           "packed_step(packed, x, h, out): the op for plain tensors, else NotImplemented"),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "gru_ext's short way into its op library";
  if (PyModule_AddFunctions(m.ptr(), methods) != 0) throw pybind11::error_already_set();
  gru_ext::python::bind_stream(m);
}
