// The bands: triangles that are equally wide on the mel scale, whose weights sum to one in each bin.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "fft.h"

namespace cpp_stream {

class Bands {
 public:
  static constexpr int kBands = 32;
  static constexpr float kFloor = 1e-6f;  // energy of a band; the rounding to 16 bits alone makes about a tenth of it

  explicit Bands(int sample_rate) {
    const auto mel = [&](int bin) { return std::log10(1 + bin * static_cast<double>(sample_rate) / Fft::kSize / 700); };
    for (int k = 0; k < Fft::kBins; ++k) {
      const double position = (kBands - 1) * mel(k) / mel(Fft::kBins - 1);
      band_[k] = std::min(static_cast<int>(position), kBands - 2);
      upper_[k] = static_cast<float>(position - band_[k]);
    }
  }

  // energies of bins -> x [kBands], the GRU's input: from -1 (silence) to about 1 (full scale).
  void features(const float* energies, float* x) const noexcept {
    std::fill(x, x + kBands, 0.0f);
    for (int k = 0; k < Fft::kBins; ++k) {
      x[band_[k]] += (1 - upper_[k]) * energies[k];
      x[band_[k] + 1] += upper_[k] * energies[k];
    }
    for (int b = 0; b < kBands; ++b) x[b] = (std::log10(kFloor + x[b]) + 1) / 5;
  }

  // state [kBands] of the last layer, from -1 to 1 -> the gain of bin k, from 0 to 1.
  float gain(const float* state, int k) const noexcept {
    const float *h = state + band_[k], u = upper_[k];
    return (1 + (1 - u) * h[0] + u * h[1]) / 2;
  }

 private:
  std::array<int, Fft::kBins> band_;     // the lower of the two bands that a bin belongs to
  std::array<float, Fft::kBins> upper_;  // its weight in the upper one
};

}  // namespace cpp_stream
