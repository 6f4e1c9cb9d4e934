// The functions for the real-time thread: no check, no allocation, no lock, nothing that the first call does more than others.
#include <cstring>

#include "stream/levels.h"
#include "stream/packed.h"

namespace gru_ext::stream {
namespace {

// Models of such sizes in bytes are read from the third-level cache in each step. Measured on a Zen 5 with 1 MB of second-level
// and 32 MB of third-level cache: asking for weights early makes single rows 1.03 to 1.2 times as fast there, and at 25 MB 1.1
// times as slow, as at 0.8 MB.
constexpr uint64_t kNear = 1 << 20, kFar = 16 << 20;

class Stepper {
 public:
  Stepper(const void* packed, void* scratch)
      : packed_(static_cast<const unsigned char*>(packed)),
        header_(header(packed)),
        kernels_(level(header_.level)->of_type[header_.type]),
        next_states_(header_.reset_before ? kernels_.next_states_reset_before : kernels_.next_states) {
    unsigned char* memory = static_cast<unsigned char*>(scratch);
    const ScratchPlan& s = header_.scratch;
    workspace_.input = reinterpret_cast<float*>(memory + s.input);
    workspace_.hidden = reinterpret_cast<float*>(memory + s.hidden);
    workspace_.activations = memory + s.activations;
    outputs_ = reinterpret_cast<float*>(memory + s.outputs);
  }

  // One step of up to kBlockRows streams.
  void step(int64_t rows, const float* x, int64_t x_row, float* h, int64_t h_row) const {
    for (int64_t i = 0; i < header_.num_layers; ++i) {
      const Layer l = layer(i);
      kernels_.input_sums(l, rows, x, x_row, workspace_);
      next_states_(l, rows, h, h_row, workspace_);
      x = h;
      x_row = h_row;
      h += l.H;
    }
  }

  // Up to kBlockRows steps of one stream, layer after layer.
  void steps(int64_t T, const float* x, float* h, float* y) const {
    for (int64_t i = 0; i < header_.num_layers; ++i) {
      const Layer l = layer(i);
      kernels_.input_sums(l, T, x, l.I, workspace_);
      // The inputs have been read: this layer's outputs may take the place of the outputs below.
      float* to = i + 1 < header_.num_layers ? outputs_ : y;
      Workspace of_step = workspace_;
      for (int64_t t = 0; t < T; ++t, of_step.input += 3 * l.P) {
        next_states_(l, 1, h, l.H, of_step);
        if (to != nullptr) std::memcpy(to + t * l.H, h, static_cast<size_t>(l.H) * sizeof(float));
      }
      x = outputs_;
      h += l.H;
    }
  }

  int64_t input_size() const { return header_.input_size; }
  int64_t output_size() const { return header_.output_size; }

 private:
  Matrix matrix(const PackedMatrix& m) const {
    return {reinterpret_cast<const uint32_t*>(packed_ + m.w), reinterpret_cast<const float*>(packed_ + m.scale), m.J, m.K,
            header_.size > kNear && header_.size <= kFar};
  }
  Layer layer(int64_t i) const {
    const PackedLayer& l = layers(packed_)[i];
    return {l.I, l.H, l.P, reinterpret_cast<const float*>(packed_ + l.bias), matrix(l.w_ih), matrix(l.w_hh), matrix(l.w_hn)};
  }

  const unsigned char* packed_;
  const PackedHeader& header_;
  const LayerKernels& kernels_;
  void (*next_states_)(const Layer&, int64_t, float*, int64_t, const Workspace&);
  Workspace workspace_;
  float* outputs_;
};

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace gru_ext::stream

using namespace gru_ext::stream;

void gru_step(const void* packed, const float* x, float* h, void* scratch) {
  // Strides of a single row are not used.
  Stepper(packed, scratch).step(1, x, 0, h, 0);
}

void gru_steps(const void* packed, const float* x, int64_t T, float* h, float* y, void* scratch) {
  const Stepper stepper(packed, scratch);
  for (int64_t t = 0; t < T; t += kBlockRows)
    stepper.steps(least(kBlockRows, T - t), x + t * stepper.input_size(), h,
                  y == nullptr ? nullptr : y + t * stepper.output_size());
}

void gru_step_batch(const void* packed, int64_t N, const float* x, int64_t x_row, float* h, int64_t h_row, void* scratch) {
  const Stepper stepper(packed, scratch);
  for (int64_t n = 0; n < N; n += kBlockRows)
    stepper.step(least(kBlockRows, N - n), x + n * x_row, x_row, h + n * h_row, h_row);
}
