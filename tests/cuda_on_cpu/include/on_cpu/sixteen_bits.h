// Conversions between float and the formats of 16 bits, rounded to nearest, ties to even; NaN becomes CUDA's, 0x7fff.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace cuda_on_cpu {

inline uint32_t bits_of(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

inline float from_bfloat16(uint16_t bits) { return float_of(static_cast<uint32_t>(bits) << 16); }

inline uint16_t to_bfloat16(float f) {
  if (std::isnan(f)) return 0x7fff;
  const uint32_t bits = bits_of(f);
  // Half a unit less one, and the one where the last bit kept is odd; a carry into the exponent is what rounding up means.
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float from_half(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) return float_of(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude >= 0x0400) return float_of(sign | ((magnitude << 13) + ((127 - 15) << 23)));
  return std::copysign(static_cast<float>(magnitude) * 0x1p-24f, float_of(sign));  // subnormal: units of 2^-24
}

inline uint16_t to_half(float f) {
  if (std::isnan(f)) return 0x7fff;
  const uint32_t bits = bits_of(f), magnitude = bits & 0x7fffffff;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520, half way from the largest half to 2^16
  // Adding 0.5 leaves no room below 2^-24, the unit of a subnormal half: the addition rounds to it.
  if (magnitude < 0x38800000) return static_cast<uint16_t>(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
  return static_cast<uint16_t>(sign | ((magnitude - ((127 - 15) << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13));
}

}  // namespace cuda_on_cpu
