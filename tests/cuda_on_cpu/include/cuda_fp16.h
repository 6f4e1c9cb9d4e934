// half, the IEEE format of 16 bits: storage and conversions.
#pragma once

#include "on_cpu/sixteen_bits.h"

struct alignas(2) __half {
  unsigned short bits;
};

inline float __half2float(__half h) { return cuda_on_cpu::from_half(h.bits); }
inline __half __float2half_rn(float f) { return {cuda_on_cpu::to_half(f)}; }
