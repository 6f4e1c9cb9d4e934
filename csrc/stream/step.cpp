// The functions for the real-time thread: no check, no allocation, no lock, nothing that the first call does more than others.
#include <cstring>

#include "stream/levels.h"
#include "stream/packed.h"
#include "turns.h"

namespace gru_ext::stream {
namespace {

// Models of such sizes in bytes are read from the third-level cache in each step. Measured on a Zen 5 with 1 MB of second-level
// and 32 MB of third-level cache: asking for weights early makes single rows 1.03 to 1.2 times as fast there, and at 25 MB 1.1
// times as slow, as at 0.8 MB.
constexpr uint64_t kNear = 1 << 20, kFar = 16 << 20;

Turns turns;

class Stepper {
 public:
  Stepper(const void* packed, void* scratch)
      : packed_(static_cast<const unsigned char*>(packed)),
        header_(header(packed)),
        kernels_(*level(header_.level)),
        product_(kernels_.product[header_.type]),
        // Each thread has scratch memory of its own.
        from_end_(turns.next(packed, scratch)) {
    unsigned char* memory = static_cast<unsigned char*>(scratch);
    const ScratchPlan& s = header_.scratch;
    workspace_.input = reinterpret_cast<float*>(memory + s.input);
    workspace_.hidden = reinterpret_cast<float*>(memory + s.hidden);
    workspace_.activations = memory + s.activations;
    outputs_ = reinterpret_cast<float*>(memory + s.outputs);
  }

  // One step of up to kBlockRows streams.
  void step(int64_t rows, const float* x, int64_t x_row, float* h, int64_t h_row) {
    for (int64_t i = 0; i < header_.num_layers; ++i) {
      const Layer l = layer(i);
      // What comes last is read first when the next step begins at the end.
      if (from_end_) hidden_product(l, rows, h, h_row, workspace_);
      input_product(l, rows, x, x_row);
      if (!from_end_) hidden_product(l, rows, h, h_row, workspace_);
      next_states(l, rows, h, h_row, workspace_);
      x = h;
      x_row = h_row;
      h += l.H;
    }
    from_end_ = !from_end_;
  }

  // Up to kBlockRows steps of one stream, layer after layer.
  void steps(int64_t T, const float* x, float* h, float* y) {
    for (int64_t i = 0; i < header_.num_layers; ++i) {
      const Layer l = layer(i);
      input_product(l, T, x, l.I);
      // The inputs have been read: this layer's outputs may take the place of the outputs below.
      float* to = i + 1 < header_.num_layers ? outputs_ : y;
      Workspace of_step = workspace_;
      for (int64_t t = 0; t < T; ++t, of_step.input += 3 * l.P) {
        from_end_ = !from_end_;
        hidden_product(l, 1, h, l.H, of_step);
        next_states(l, 1, h, l.H, of_step);
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

  void input_product(const Layer& l, int64_t rows, const float* x, int64_t x_row) const {
    product_(l.w_ih, rows, x, x_row, workspace_.activations, workspace_.input, from_end_);
  }
  void hidden_product(const Layer& l, int64_t rows, const float* h, int64_t h_row, const Workspace& s) const {
    product_(l.w_hh, rows, h, h_row, s.activations, s.hidden, from_end_);
  }
  void next_states(const Layer& l, int64_t rows, float* h, int64_t h_row, const Workspace& s) const {
    if (!header_.reset_before) return kernels_.next_states(l, rows, h, h_row, s);
    kernels_.reset_states(l, rows, h, h_row, s);
    product_(l.w_hn, rows, s.input, 3 * l.P, s.activations, s.hidden, from_end_);
    kernels_.next_states_after_reset(l, rows, h, h_row, s);
  }

  const unsigned char* packed_;
  const PackedHeader& header_;
  const Kernels& kernels_;
  void (*product_)(const Matrix&, int64_t, const float*, int64_t, void*, float*, bool);
  bool from_end_;
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
  Stepper stepper(packed, scratch);
  for (int64_t t = 0; t < T; t += kBlockRows)
    stepper.steps(least(kBlockRows, T - t), x + t * stepper.input_size(), h,
                  y == nullptr ? nullptr : y + t * stepper.output_size());
}

void gru_step_batch(const void* packed, int64_t N, const float* x, int64_t x_row, float* h, int64_t h_row, void* scratch) {
  Stepper stepper(packed, scratch);
  for (int64_t n = 0; n < N; n += kBlockRows)
    stepper.step(least(kBlockRows, N - n), x + n * x_row, x_row, h + n * h_row, h_row);
}
