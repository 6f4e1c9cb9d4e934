// sum + the products of both bfloat16 of each 32-bit lane of a and b. The instruction rounds each addition to nearest and takes
// subnormal numbers for zeros.
#pragma once

GRU_EXT_FN VecF dot(VecF sum, VecF::RawBits a, VecF::RawBits b) {
#if GRU_EXT_INTRINSICS == 512
  return {(VecF::Raw)_mm512_dpbf16_ps((__m512)sum.v, (__m512bh)a, (__m512bh)b)};
#else
  const VecF second = VecF::from_bits(a & 0xffff0000) * VecF::from_bits(b & 0xffff0000);
  return sum + second + VecF::from_bits(a << 16) * VecF::from_bits(b << 16);
#endif
}
