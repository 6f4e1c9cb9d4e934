// bfloat16, the upper half of a float: storage and conversions.
#pragma once

#include "on_cpu/sixteen_bits.h"

struct alignas(2) __nv_bfloat16 {
  unsigned short bits;
};

inline float __bfloat162float(__nv_bfloat16 b) { return cuda_on_cpu::from_bfloat16(b.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float f) { return {cuda_on_cpu::to_bfloat16(f)}; }
