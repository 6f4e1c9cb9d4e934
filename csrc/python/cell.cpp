#include "python/cell.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>

#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "python/short_way.h"

namespace gru_ext::python {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
// Of the op, which is found by name: this module is not linked to the op library.
using GruCell = Tensor(const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&, const OptionalTensor&,
                       const OptionalTensor&);

// Multiply-adds of a step on the CPU; what other devices do meanwhile, or wait for, is not known here.
int64_t work(const Tensor& input, const Tensor& w_ih, const Tensor& w_hh) {
  if (!input.is_cpu()) return std::numeric_limits<int64_t>::max();
  return (input.dim() == 2 ? input.size(0) : 1) * (w_ih.numel() + w_hh.numel());
}

// The six arguments of the op, borrowed.
PyObject* step(PyObject* input, PyObject* hx, PyObject* w_ih, PyObject* w_hh, PyObject* b_ih, PyObject* b_hh) {
  const bool plain = is_plain(input) && is_plain_or_none(hx) && is_plain(w_ih) && is_plain(w_hh) && is_plain_or_none(b_ih) &&
                     is_plain_or_none(b_hh);
  if (!plain || only_torch_ops_will_do()) Py_RETURN_NOTIMPLEMENTED;
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("gru_ext::gru_cell", "").typed<GruCell>();
  const Borrowed state(hx), input_bias(b_ih), hidden_bias(b_hh);
  Tensor next;
  {
    const auto no_gil =
        released_unless_short(work(THPVariable_Unpack(input), THPVariable_Unpack(w_ih), THPVariable_Unpack(w_hh)));
    next = op.call(THPVariable_Unpack(input), *state, THPVariable_Unpack(w_ih), THPVariable_Unpack(w_hh), *input_bias,
                   *hidden_bias);
  }
  return THPVariable_Wrap(std::move(next));
}

// A string that Python's dicts find by its address.
struct Name {
  explicit Name(const char* text) : object(PyUnicode_InternFromString(text)) {
    if (object == nullptr) throw pybind11::error_already_set();
  }
  PyObject* const object;
};

// The value of a name in a dict, borrowed, or null.
PyObject* item(PyObject* dict, const Name& name) {
  PyObject* const value = PyDict_GetItemWithError(dict, name.object);
  if (value == nullptr && PyErr_Occurred()) throw pybind11::error_already_set();
  return value;
}

// The step of a cell with this __dict__. torch.nn.Module finds a parameter by a Python function; for four of them that takes as
// long as a small step. Here they come from the dict that it looks into. A weight that is computed (parametrized, pruned, a
// replica's) is not there.
PyObject* step_of(PyObject* attributes, PyObject* input, PyObject* hx) {
  static const Name parameters("_parameters"), w_ih("weight_ih"), w_hh("weight_hh"), b_ih("bias_ih"), b_hh("bias_hh");
  PyObject* const own = item(attributes, parameters);
  if (own == nullptr || !PyDict_Check(own)) Py_RETURN_NOTIMPLEMENTED;
  // Counted: while the step computes, another thread of Python may put other weights into the cell.
  std::array<pybind11::object, 4> weights;
  const Name* const names[] = {&w_ih, &w_hh, &b_ih, &b_hh};
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = pybind11::reinterpret_borrow<pybind11::object>(item(own, *names[i]));
    if (!weights[i]) Py_RETURN_NOTIMPLEMENTED;
  }
  return step(input, hx, weights[0].ptr(), weights[1].ptr(), weights[2].ptr(), weights[3].ptr());
}

pybind11::object attributes_of(PyObject* cell) {
  auto attributes = pybind11::reinterpret_steal<pybind11::object>(PyObject_GenericGetDict(cell, nullptr));
  if (!attributes) throw pybind11::error_already_set();
  return attributes;
}

// True if one of the dicts is not empty, or is not there.
template <size_t count>
bool any_hooks(PyObject* where, const Name (&names)[count]) {
  for (const Name& name : names) {
    PyObject* const hooks = item(where, name);
    if (hooks == nullptr || !PyDict_Check(hooks) || PyDict_GET_SIZE(hooks) != 0) return true;
  }
  return false;
}

// What a call has to find unchanged to go past torch.nn.Module's own. Never destroyed: the interpreter goes first.
struct CellClass {
  pybind11::object forward;      // GRUCell.forward
  pybind11::object module;       // torch.nn.Module
  pybind11::object call;         // torch.nn.Module._call_impl
  pybind11::object all_modules;  // the __dict__ of torch.nn.modules.module, which has the hooks on all modules
};
CellClass* known = nullptr;

// That the attribute of a class is this object, and not what somebody put in its place.
bool is_attribute(PyObject* type, const Name& name, const pybind11::object& expected) {
  const auto value = pybind11::reinterpret_steal<pybind11::object>(PyObject_GetAttr(type, name.object));
  if (!value) throw pybind11::error_already_set();
  return value.is(expected);
}

// That torch.nn.Module.__call__ would do nothing but call GRUCell.forward.
bool only_forward(PyObject* cell, PyObject* attributes) {
  static const Name forward("forward"), call("_call_impl");
  static const Name own[] = {Name("_backward_hooks"), Name("_backward_pre_hooks"), Name("_forward_hooks"),
                             Name("_forward_pre_hooks")};
  static const Name of_all[] = {Name("_global_backward_pre_hooks"), Name("_global_backward_hooks"),
                                Name("_global_forward_hooks"), Name("_global_forward_pre_hooks")};
  return known != nullptr && item(attributes, forward) == nullptr && !any_hooks(attributes, own) &&
         !any_hooks(known->all_modules.ptr(), of_all) &&
         is_attribute(reinterpret_cast<PyObject*>(Py_TYPE(cell)), forward, known->forward) &&
         is_attribute(known->module.ptr(), call, known->call);
}

}  // namespace

PyObject* gru_cell(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  check_count("gru_cell", 6, count);
  return step(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
  END_HANDLE_TH_ERRORS
}

PyObject* cell_forward(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  check_count("cell_forward", 3, count);
  return step_of(attributes_of(arguments[0]).ptr(), arguments[1], arguments[2]);
  END_HANDLE_TH_ERRORS
}

PyObject* cell_call(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  check_count("cell_call", 3, count);
  PyObject* const inputs = arguments[1];
  const Py_ssize_t given = PyTuple_Check(inputs) ? PyTuple_GET_SIZE(inputs) : 0;
  const bool positional = given >= 1 && given <= 2 && PyDict_Check(arguments[2]) && PyDict_GET_SIZE(arguments[2]) == 0;
  if (!positional) Py_RETURN_NOTIMPLEMENTED;
  const auto attributes = attributes_of(arguments[0]);
  if (!only_forward(arguments[0], attributes.ptr())) Py_RETURN_NOTIMPLEMENTED;
  return step_of(attributes.ptr(), PyTuple_GET_ITEM(inputs, 0), given == 2 ? PyTuple_GET_ITEM(inputs, 1) : Py_None);
  END_HANDLE_TH_ERRORS
}

PyObject* cell_class(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  check_count("cell_class", 1, count);
  const pybind11::handle type = arguments[0];
  const auto modules = pybind11::module_::import("torch.nn.modules.module");
  const pybind11::object module = modules.attr("Module");
  auto* const found = new CellClass{type.attr("forward"), module, module.attr("_call_impl"), modules.attr("__dict__")};
  delete std::exchange(known, found);
  Py_RETURN_NONE;
  END_HANDLE_TH_ERRORS
}

}  // namespace gru_ext::python
