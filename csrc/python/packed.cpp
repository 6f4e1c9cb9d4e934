#include "python/packed.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/api/object.h>

#include "python/short_way.h"

namespace gru_ext::python {
namespace {

// Found by name: this module is not linked to the op library.
template <class Signature>
auto handle(const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow("gru_ext::packed_step", overload).typed<Signature>();
}

int64_t work(const PackedGRU& packed, const Tensor& x) { return x.numel() / packed.info().input_size * packed.work(); }

}  // namespace

PackedPtr packed_in(pybind11::handle object) {
  // pybind11's own conversion looks the C++ type up by name, which takes a tenth of a microsecond.
  static const pybind11::handle script_object = pybind11::type::of<torch::jit::Object>().release();
  if (Py_TYPE(object.ptr()) != reinterpret_cast<PyTypeObject*>(script_object.ptr())) return {};
  auto* const instance = reinterpret_cast<pybind11::detail::instance*>(object.ptr());
  const auto* const held = instance->get_value_and_holder().value_ptr<torch::jit::Object>();
  if (held == nullptr) return {};
  const auto script = held->_ivalue();
  if (script->type() != c10::getCustomClassType<PackedPtr>()) return {};
  return c10::static_intrusive_pointer_cast<PackedGRU>(script->getSlot(0).toCapsule());
}

PyObject* packed_step(PyObject*, PyObject* const* arguments, Py_ssize_t count) try {
  check_count("packed_step", 4, count);
  const bool plain = is_plain(arguments[1]) && is_plain_or_none(arguments[2]) && is_plain_or_none(arguments[3]);
  if (!plain || only_torch_ops_will_do()) Py_RETURN_NOTIMPLEMENTED;
  const PackedPtr packed = packed_in(arguments[0]);
  if (!packed) Py_RETURN_NOTIMPLEMENTED;
  const Tensor& x = THPVariable_Unpack(arguments[1]);
  const Borrowed h(arguments[2]);
  if (arguments[3] == Py_None) {
    static const auto op = handle<PackedStep>("");
    Tensor next;
    {
      const auto no_gil = released_unless_short(work(*packed, x));
      next = op.call(packed, x, *h);
    }
    return THPVariable_Wrap(std::move(next));
  }
  static const auto op = handle<PackedStepOut>("out");
  {
    const auto no_gil = released_unless_short(work(*packed, x));
    op.call(packed, x, *h, const_cast<Tensor&>(THPVariable_Unpack(arguments[3])));
  }
  return Py_NewRef(arguments[3]);
} catch (...) {
  // What HANDLE_TH_ERRORS does, without its buffer for warnings, which a step has none of: emptying it takes the interpreter's
  // lock once more.
  torch::translate_exception_to_python(std::current_exception());
  return nullptr;
}

}  // namespace gru_ext::python
