// The number types of the kernels for the tests' own arithmetic: to double, exactly, and from double, rounded once to nearest,
// ties to even. Written from the definition of the formats, not as the kernels do it.
#pragma once

#include <cmath>
#include <cstdint>

#include "cpu/kernels/kernels.h"

namespace gru_ext::cpu {

template <class T>
struct Format;

template <>
struct Format<BFloat16> {
  static constexpr const char* kName = "bfloat16";
  static constexpr int kFraction = 7, kBias = 127;
};
template <>
struct Format<Half> {
  static constexpr const char* kName = "half";
  static constexpr int kFraction = 10, kBias = 15;
};
template <>
struct Format<float> {
  static constexpr const char* kName = "float";
};
template <>
struct Format<double> {
  static constexpr const char* kName = "double";
};

// The exponent of v's unit in the last place.
template <class T>
int unit_exponent(double v) {
  using F = Format<T>;
  const int smallest = 1 - F::kBias;
  const int exponent = v == 0 || std::ilogb(v) < smallest ? smallest : std::ilogb(v);
  return exponent - F::kFraction;
}

template <class T>
double to_double(T t) {
  if constexpr (sizeof(T) == 2) {
    using F = Format<T>;
    const int exponent = (t.bits & 0x7fff) >> F::kFraction, fraction = t.bits & ((1 << F::kFraction) - 1);
    double magnitude;
    if (exponent == 2 * F::kBias + 1)
      magnitude = fraction ? NAN : INFINITY;
    else if (exponent == 0)
      magnitude = std::ldexp(fraction, 1 - F::kBias - F::kFraction);
    else
      magnitude = std::ldexp(fraction + (1 << F::kFraction), exponent - F::kBias - F::kFraction);
    return std::copysign(magnitude, t.bits & 0x8000 ? -1.0 : 1.0);
  } else {
    return t;
  }
}

template <class T>
T from_double(double v) {
  if constexpr (sizeof(T) == 2) {
    using F = Format<T>;
    const int infinity = (2 * F::kBias + 1) << F::kFraction, sign = std::signbit(v) ? 0x8000 : 0;
    if (std::isnan(v)) return {static_cast<uint16_t>(sign | infinity | 1 << (F::kFraction - 1))};
    if (std::isinf(v)) return {static_cast<uint16_t>(sign | infinity)};
    const int exponent = unit_exponent<T>(v) + F::kFraction;
    // The leading one of a normal number counts as one step of the exponent, and rounding up carries into it.
    const double units = std::nearbyint(std::ldexp(std::fabs(v), -unit_exponent<T>(v)));
    const int64_t bits = (int64_t{exponent + F::kBias - 1} << F::kFraction) + static_cast<int64_t>(units);
    return {static_cast<uint16_t>(sign | (bits < infinity ? bits : infinity))};
  } else {
    return static_cast<T>(v);
  }
}

// How far the nearest T may lie from v: the one rounding of a 16-bit result. That of float and double is part of the error of
// their arithmetic.
template <class T>
double rounding(double v) {
  if constexpr (sizeof(T) == 2)
    return std::isfinite(v) ? std::ldexp(0.5, unit_exponent<T>(v)) : 0;
  else
    return 0;
}

}  // namespace gru_ext::cpu
