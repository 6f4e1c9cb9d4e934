// oneDNN's GRU cell (lbr_gru: linear before reset, which is torch's formula) for one_dnn.py, which calls it through ctypes.
#include <algorithm>
#include <cstdio>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>

static_assert(DNNL_VERSION_MAJOR == 3, "not a version of oneDNN that this is written for");
// Then it runs on the same threads as torch does, and on as many.
static_assert(DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP, "not a build of oneDNN with OpenMP");

namespace {

using dnnl::memory;
using Tag = memory::format_tag;

memory::desc describe(const memory::dims& sizes, Tag tag, memory::data_type type = memory::data_type::f32) {
  return {sizes, type, tag};
}

// For one number of rows: oneDNN's choice of the layout of the weights may depend on it.
class Cell {
 public:
  Cell(int rows, int inputs, int units, memory::data_type type, float* w_ih, float* w_hh, float* biases)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    const auto any = Tag::any;
    const auto input = describe({1, rows, inputs}, Tag::tnc, type), output = describe({1, rows, units}, Tag::tnc, type);
    const auto state = describe({1, 1, rows, units}, Tag::ldnc, type), bias = describe({1, 1, 4, units}, Tag::ldgo);
    const memory::dims ih{1, 1, inputs, 3, units}, hh{1, 1, units, 3, units};
    const dnnl::lbr_gru_forward::primitive_desc chosen(
        engine_, dnnl::prop_kind::forward_inference, dnnl::rnn_direction::unidirectional_left2right, input, state,
        describe(ih, any, type), describe(hh, any, type), bias, output, memory::desc());
    step_ = dnnl::lbr_gru_forward(chosen);
    const auto packed = [&](const memory::dims& sizes, float* from, const memory::desc& layout) {
      memory source(describe(sizes, Tag::ldigo), engine_, from), result(layout, engine_);
      dnnl::reorder(source, result).execute(stream_, source, result);
      return result;
    };
    x_ = memory(input, engine_, DNNL_MEMORY_NONE);
    h_ = memory(state, engine_, DNNL_MEMORY_NONE);
    y_ = memory(output, engine_, DNNL_MEMORY_NONE);
    memory own_bias(bias, engine_);
    std::copy(biases, biases + 4 * units, static_cast<float*>(own_bias.get_data_handle()));
    arguments_ = {{DNNL_ARG_SRC_LAYER, x_},
                  {DNNL_ARG_SRC_ITER, h_},
                  {DNNL_ARG_WEIGHTS_LAYER, packed(ih, w_ih, chosen.weights_layer_desc())},
                  {DNNL_ARG_WEIGHTS_ITER, packed(hh, w_hh, chosen.weights_iter_desc())},
                  {DNNL_ARG_BIAS, own_bias},
                  {DNNL_ARG_DST_LAYER, y_}};
    stream_.wait();
  }

  void step(const void* x, const void* h, void* y) {
    // The handles are shared with `arguments_`. oneDNN only reads what the first two point to.
    x_.set_data_handle(const_cast<void*>(x));
    h_.set_data_handle(const_cast<void*>(h));
    y_.set_data_handle(y);
    step_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::lbr_gru_forward step_;
  memory x_, h_, y_;
  std::unordered_map<int, memory> arguments_;
};

}  // namespace

extern "C" {

const char* gru_onednn_version() {
  static const auto* found = dnnl_version();
  static const std::string text =
      std::to_string(found->major) + "." + std::to_string(found->minor) + "." + std::to_string(found->patch);
  return text.c_str();
}

// null where oneDNN refuses; `reason` then says why. Gates in the order z, r, n; the four biases: z, r, n of the input, n of
// the state.
void* gru_onednn_create(int rows, int inputs, int units,
                        bool bf16,      // of x, h, y and the packed weights, instead of float32
                        float* w_ih,    // [I, 3, H]
                        float* w_hh,    // [H, 3, H]
                        float* biases,  // [4, H]
                        char* reason, size_t reason_size) try {
  return new Cell(rows, inputs, units, bf16 ? memory::data_type::bf16 : memory::data_type::f32, w_ih, w_hh, biases);
} catch (const dnnl::error& error) {
  std::snprintf(reason, reason_size, "%s", error.what());
  return nullptr;
}

void gru_onednn_destroy(void* cell) { delete static_cast<Cell*>(cell); }

void gru_onednn_step(void* cell,
                     const void* x,  // [N, I]
                     const void* h,  // [N, H]
                     void* y) {      // [N, H]
  static_cast<Cell*>(cell)->step(x, h, y);
}
}
