#include "python/stream.h"

#define AT_PER_OPERATOR_HEADERS
#include <ATen/ops/empty.h>
#include <pybind11/numpy.h>
#include <torch/csrc/autograd/python_variable.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "gru_ext/stream.h"
#include "python/floats.h"
#include "python/packed.h"

namespace py = pybind11;

namespace gru_ext::python {
namespace {

Model from_bytes(const py::bytes& file) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(file.ptr(), &data, &size) != 0) throw py::error_already_set();
  std::vector<uint32_t> aligned((static_cast<size_t>(size) + sizeof(uint32_t) - 1) / sizeof(uint32_t));
  if (size != 0) std::memcpy(aligned.data(), data, static_cast<size_t>(size));
  return Model::load(aligned.data(), static_cast<size_t>(size));
}

Model from_path(const py::object& path) {
  const py::bytes name = py::reinterpret_borrow<py::bytes>(py::module_::import("os").attr("fsencode")(path));
  errno = 0;
  const Model model = Model::load(std::string(name).c_str());
  if (model.error() == GRU_ERROR_OPEN && errno != 0) {
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
    throw py::error_already_set();
  }
  return model;
}

Model model_of(const py::object& source) {
  const py::object inner = py::getattr(source, "packed", source);
  if (const PackedPtr packed = packed_in(inner)) return packed->model();
  const Model model =
      py::isinstance<py::bytes>(source) ? from_bytes(py::reinterpret_borrow<py::bytes>(source)) : from_path(source);
  if (!model) throw py::value_error(std::string("Stream: ") + model.message());
  return model;
}

// Fresh memory of the kind of `like`: a tensor for a tensor, else a NumPy array.
py::object fresh(const Floats& like, const std::vector<int64_t>& shape) {
  if (!like.is_tensor()) return py::array_t<float>(std::vector<py::ssize_t>(shape.begin(), shape.end()));
  return py::reinterpret_steal<py::object>(THPVariable_Wrap(at::empty(shape, at::kFloat)));
}

class PyStream {
 public:
  explicit PyStream(const py::object& source) : stream_(model_of(source)), info_(stream_.model().info()) {
    if (!stream_) throw std::bad_alloc();
  }

  py::object step(const py::object& x_, const py::object& out_) {
    const Floats x(x_, "x", /*writable=*/false);
    x.check_shape({info_.input_size});
    const py::object result = out_.is_none() ? fresh(x, {info_.output_size}) : out_;
    const Floats out(result, "out", /*writable=*/true);
    out.check_shape({info_.output_size});
    run(x, out, 1);
    return result;
  }

  py::object steps(const py::object& x_, const py::object& out_) {
    const Floats x(x_, "x", /*writable=*/false);
    x.check_shape({-1, info_.input_size});
    const py::object result = out_.is_none() ? fresh(x, {x.size(0), info_.output_size}) : out_;
    const Floats out(result, "out", /*writable=*/true);
    out.check_shape({x.size(0), info_.output_size});
    run(x, out, x.size(0));
    return result;
  }

  void reset() {
    const Turn turn(*this);
    stream_.reset();
  }

  void set_state(const py::object& h_) {
    const Floats h(h_, "state", /*writable=*/false);
    if (h.count() != info_.state_size) h.check_shape({info_.state_size});
    const Turn turn(*this);
    std::memmove(stream_.state(), h.data(), static_cast<size_t>(info_.state_size) * sizeof(float));
  }

  py::buffer_info memory() {
    return {stream_.state(), sizeof(float), py::format_descriptor<float>::format(), 1, {info_.state_size}, {sizeof(float)}};
  }

  const gru_info& info() const { return info_; }

 private:
  // Steps run without the GIL, so another thread could come in between.
  class Turn {
   public:
    explicit Turn(PyStream& stream) : busy_(stream.busy_) {
      if (busy_.test_and_set(std::memory_order_acquire))
        throw std::runtime_error("Stream: another thread is in a step of this stream; give each thread a Stream of its own");
    }
    Turn(const Turn&) = delete;
    ~Turn() { busy_.clear(std::memory_order_release); }

   private:
    std::atomic_flag& busy_;
  };

  void run(const Floats& x, const Floats& out, int64_t T) {
    x.check_apart(stream_.state(), info_.state_size, "the state");
    out.check_apart(stream_.state(), info_.state_size, "the state");
    out.check_apart(x.data(), x.count(), "x");
    const Turn turn(*this);
    const py::gil_scoped_release no_gil;
    stream_.steps(x.data(), T, out.data());
  }

  Stream stream_;
  gru_info info_;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

}  // namespace

void bind_stream(py::module_& m) {
  py::class_<PyStream>(m, "Stream", py::buffer_protocol(), "One stream of a packed model; see _C.pyi")
      .def(py::init<const py::object&>(), py::arg("source"))
      .def("step", &PyStream::step, py::arg("x"), py::arg("out") = py::none())
      .def("steps", &PyStream::steps, py::arg("x"), py::arg("out") = py::none())
      .def("reset", &PyStream::reset)
      .def_buffer(&PyStream::memory)
      .def_property(
          "state",
          [](const py::object& self) { return py::reinterpret_steal<py::object>(PyMemoryView_FromObject(self.ptr())); },
          &PyStream::set_state)
      .def_property_readonly("input_size", [](const PyStream& s) { return s.info().input_size; })
      .def_property_readonly("output_size", [](const PyStream& s) { return s.info().output_size; })
      .def_property_readonly("level", [](const PyStream& s) { return s.info().level; });
}

}  // namespace gru_ext::python
