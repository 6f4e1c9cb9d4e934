// sigmoid and tanh on vectors, float and double.
//
// Both reduce to e^x - 1 = 2^k p + (2^k - 1), where x = k ln 2 + t, |t| <= ln(2) / 2, and p = e^t - 1 is its Taylor series: the
// first term left out, t^8 / 8! in float and t^14 / 14! in double, is below 6e-9 and 5e-18. tests/cpp/activations_test.cpp
// walks every float32 and holds the bounds stated below.
#pragma once

template <class S>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float kLog2E = 1.44269504f;
  // ln 2 in two parts; the first has 9 bits, so k times it is exact.
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  static constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  static constexpr int kFractionBits = 23, kBias = 127;
  static constexpr float kLow = -87, kHigh = 89;  // k is -126 to 128: the least normal 2^k, and what is made infinity
  static constexpr float kSaturation = 10;        // tanh is 1 in float from 9.02 on
  static constexpr float kTaylor[] = {1 / 5040.f, 1 / 720.f, 1 / 120.f, 1 / 24.f, 1 / 6.f, 1 / 2.f};
};

template <>
struct ExpConstants<double> {
  static constexpr double kLog2E = 1.4426950408889634;
  static constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;  // 33 bits; the rest
  static constexpr double kRound = 0x1.8p52;
  static constexpr int kFractionBits = 52, kBias = 1023;
  static constexpr double kLow = -708, kHigh = 710;
  static constexpr double kSaturation = 20;
  static constexpr double kTaylor[] = {1 / 6227020800.0, 1 / 479001600.0, 1 / 39916800.0, 1 / 3628800.0,
                                       1 / 362880.0,     1 / 40320.0,     1 / 5040.0,     1 / 720.0,
                                       1 / 120.0,        1 / 24.0,        1 / 6.0,        1 / 2.0};
};

template <class S>
struct Exponential {
  Vec<S> scale;  // 2^k
  Vec<S> p;      // e^(x - k ln 2) - 1
};

// NaN passes through the comparison and the polynomial.
template <class S>
GRU_EXT_FN Vec<S> clamp(Vec<S> x, S low, S high) {
  return smaller(Vec<S>::broadcast(high), larger(Vec<S>::broadcast(low), x));
}

// For x from kLow to kHigh.
template <class S>
GRU_EXT_FN Exponential<S> exponential(Vec<S> x) {
  using C = ExpConstants<S>;
  const auto round = Vec<S>::broadcast(C::kRound);
  const Vec<S> shifted = fma(x, Vec<S>::broadcast(C::kLog2E), round);
  const Vec<S> k = shifted - round;
  Vec<S> t = fma(k, Vec<S>::broadcast(-C::kLn2High), x);
  t = fma(k, Vec<S>::broadcast(-C::kLn2Low), t);
  // Two terms at a time, in powers of t^2: half as many operations wait for each other.
  const Vec<S> t2 = t * t;
  const auto pair = [&](int i) __attribute__((always_inline)) {
    return fma(Vec<S>::broadcast(C::kTaylor[i]), t, Vec<S>::broadcast(C::kTaylor[i + 1]));
  };
  Vec<S> p = pair(0);
  constexpr int terms = sizeof(C::kTaylor) / sizeof(S);
#pragma GCC unroll 16
  for (int i = 2; i < terms; i += 2) p = fma(p, t2, pair(i));
  // The shift leaves of kRound nothing and of k, which is in the low bits, the exponent.
  return {Vec<S>::from_bits((shifted.bits() + C::kBias) << C::kFractionBits), fma(t2, p, t)};
}

// 1 / (1 + e^-x). Error below 3 units in the last place; a result that would be subnormal may be 0. 0 at -infinity, 1 at
// infinity.
template <class S>
GRU_EXT_FN Vec<S> sigmoid(Vec<S> x) {
  using C = ExpConstants<S>;
  const auto e = exponential(-clamp(x, -C::kHigh, -C::kLow));
  return 1 / (1 + (1 + e.p) * e.scale);  // not an fma: p may be negative where the scale is infinity
}

// (e^2|x| - 1) / (e^2|x| + 1) with the sign of x. Error below 3 units in the last place; odd, and exact at 0 and infinity.
template <class S>
GRU_EXT_FN Vec<S> tanh(Vec<S> x) {
  using C = ExpConstants<S>;
  const auto sign = x.bits() & Vec<S>::broadcast(S(-0.0)).bits();
  const Vec<S> magnitude = Vec<S>::from_bits(x.bits() ^ sign);
  const auto e = exponential(smaller(Vec<S>::broadcast(2 * C::kSaturation), magnitude + magnitude));
  const Vec<S> em1 = fma(e.scale, e.p, e.scale - Vec<S>::broadcast(1));
  const Vec<S> y = em1 / (em1 + Vec<S>::broadcast(2));
  return Vec<S>::from_bits(y.bits() | sign);
}
