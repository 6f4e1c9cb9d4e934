// The whole pipeline of one stream, a hop at a time. Everything is allocated by the constructor.
#pragma once

#include <gru_ext/stream.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "bands.h"
#include "fft.h"

namespace cpp_stream {

class Denoiser {
 public:
  static constexpr int kRate = 16000;
  static constexpr int kHop = Fft::kSize / 2;  // 10 ms

  // Of a model from kBands to kBands; false if there is no memory.
  explicit Denoiser(gru_ext::Model model) : stream_(std::move(model)), bands_(kRate) {
    for (int i = 0; i < Fft::kSize; ++i) window_[i] = static_cast<float>(std::sin(std::acos(-1.0) * (i + 0.5) / Fft::kSize));
  }

  explicit operator bool() const noexcept { return static_cast<bool>(stream_); }

  // in [kHop]: the newest samples, from -1 to 1; out [kHop]: the hop before them, denoised. They may be the same memory.
  void hop(const float* in, float* out) noexcept {
    for (int i = 0; i < kHop; ++i) {
      x_.re[i] = window_[i] * before_[i];
      x_.re[kHop + i] = window_[kHop + i] * in[i];
    }
    std::copy(in, in + kHop, before_);
    x_.im.fill(0);
    fft_.transform(x_);

    for (int k = 0; k < Fft::kBins; ++k) energies_[k] = x_.re[k] * x_.re[k] + x_.im[k] * x_.im[k];
    bands_.features(energies_, features_);
    const float* state = stream_.step(features_);

    // The inverse is a transform of the conjugate, whose real part alone is wanted. Bins above the middle mirror those below.
    for (int k = 0; k < Fft::kBins; ++k) {
      const float gain = bands_.gain(state, k) / Fft::kSize;
      const int mirror = (Fft::kSize - k) % Fft::kSize;
      x_.re[k] = x_.re[mirror] = gain * x_.re[k];
      x_.im[mirror] = gain * x_.im[k];
      x_.im[k] = -x_.im[mirror];
    }
    fft_.transform(x_);
    for (int i = 0; i < kHop; ++i) {
      out[i] = rest_[i] + window_[i] * x_.re[i];
      rest_[i] = window_[kHop + i] * x_.re[kHop + i];
    }
  }

 private:
  gru_ext::Stream stream_;
  Bands bands_;
  Fft fft_;
  Fft::Numbers x_;
  float window_[Fft::kSize], energies_[Fft::kBins], features_[Bands::kBands];
  float before_[kHop] = {};  // the last hop that came in
  float rest_[kHop] = {};    // what its frame adds to the next hop that goes out
};

}  // namespace cpp_stream
