// A step in double, from the equations, with the weights and activations that each type keeps: what the kernels must give but
// for the rounding of float32 sums.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "formats.h"
#include "gru_ext/stream.h"

namespace gru_ext::stream {

using cpu::BFloat16;
using cpu::from_double;
using cpu::to_double;

// How a level keeps weights and activations: with instructions for dot products bfloat16 holds for both.
struct Keeping {
  gru_weight_type type;
  bool dot;
};

inline double bf16(double v) { return to_double(from_double<BFloat16>(v)); }

inline uint32_t bits_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

// The number nearest to v whose lower 16 bits are `lower`, of two the one with an even upper half; as packed, not a subnormal.
inline double nearest_above_lower_half(float v, uint32_t lower) {
  if (lower == 0) return bf16(v);
  double best = HUGE_VAL;
  for (uint32_t upper = (bits_of(v) >> 16) - 1, i = 0; i < 3; ++i, ++upper) {
    const double candidate = float_of(upper << 16 | lower);
    const double error = std::fabs(candidate - v), least = std::fabs(best - v);
    if (std::isnormal(candidate) && (error < least || (error == least && upper % 2 == 0))) best = candidate;
  }
  return std::isinf(best) ? 0 : best;  // all that is left out is below 2^-125
}

// A row of K weights.
inline std::vector<double> kept_weights(const float* w, int64_t K, Keeping keeping) {
  std::vector<double> kept(w, w + K);
  if (keeping.type == GRU_BF16)
    for (int64_t k = 0; k < K; ++k) {
      const uint32_t lower = k % 2 == 1 && !keeping.dot ? bits_of(static_cast<float>(bf16(w[k - 1]))) >> 16 : 0;
      kept[k] = nearest_above_lower_half(w[k], lower);
    }
  if (keeping.type == GRU_INT8) {
    float largest = 0;
    for (int64_t k = 0; k < K; ++k) largest = std::fmax(largest, std::fabs(w[k]));
    const float scale = largest / 127;
    for (double& v : kept) v = scale > 0 ? std::nearbyint(static_cast<float>(v) / scale) * double{scale} : 0;
  }
  return kept;
}

inline std::vector<double> kept_activations(const float* a, int64_t K, Keeping keeping) {
  std::vector<double> kept(a, a + K);
  if (keeping.type == GRU_BF16 && keeping.dot)
    for (double& v : kept) v = bf16(v);
  if (keeping.type == GRU_INT8) {
    float largest = 0;
    for (int64_t k = 0; k < K; ++k) largest = std::fmax(largest, std::fabs(a[k]));
    const float limit = std::fmin(255.f, static_cast<float>(INT32_MAX / (127 * K)));
    const float inverse = largest > 0 ? limit / largest : 0;
    for (double& v : kept) v = std::nearbyint(static_cast<float>(v) * inverse) * (double{largest} / limit);
  }
  return kept;
}

// The new state of one layer.
inline std::vector<double> reference_step(const gru_weights& w, bool reset_before, const float* x, const float* h,
                                          Keeping keeping) {
  const int64_t I = w.input_size, H = w.hidden_size;
  const auto product = [&](const float* matrix, int64_t gate, int64_t j, const std::vector<double>& a, const float* bias) {
    const int64_t row = gate * H + j, K = static_cast<int64_t>(a.size());
    const std::vector<double> weights = kept_weights(matrix + row * K, K, keeping);
    double sum = bias == nullptr ? 0 : bias[row];
    for (int64_t k = 0; k < K; ++k) sum += weights[k] * a[k];
    return sum;
  };
  const auto sigmoid = [](double s) { return 1 / (1 + std::exp(-s)); };
  const std::vector<double> in = kept_activations(x, I, keeping), state = kept_activations(h, H, keeping);
  std::vector<double> r(H), z(H), next(H);
  for (int64_t j = 0; j < H; ++j) {
    r[j] = sigmoid(product(w.w_ih, 0, j, in, w.b_ih) + product(w.w_hh, 0, j, state, w.b_hh));
    z[j] = sigmoid(product(w.w_ih, 1, j, in, w.b_ih) + product(w.w_hh, 1, j, state, w.b_hh));
  }
  std::vector<float> reset(H);
  for (int64_t j = 0; j < H; ++j) reset[j] = static_cast<float>(r[j] * h[j]);
  const std::vector<double> kept_reset = kept_activations(reset.data(), H, keeping);
  for (int64_t j = 0; j < H; ++j) {
    const double hidden =
        reset_before ? product(w.w_hh, 2, j, kept_reset, w.b_hh) : r[j] * product(w.w_hh, 2, j, state, w.b_hh);
    const double n = std::tanh(product(w.w_ih, 2, j, in, w.b_ih) + hidden);
    next[j] = n + z[j] * (h[j] - n);
  }
  return next;
}

}  // namespace gru_ext::stream
