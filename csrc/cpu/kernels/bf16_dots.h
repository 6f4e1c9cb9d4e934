// Rows of bfloat16 where the level multiplies them in pairs: nothing is widened.
#pragma once

template <>
struct Numbers<BFloat16> {
  static constexpr int count = 2 * VecF::kLanes;
  static constexpr bool widened = false;
  using Vector = VecF::RawBits;

  GRU_EXT_FN static Vector load(const BFloat16* p) {
    Vector pairs;
    __builtin_memcpy(&pairs, p, sizeof pairs);
    return pairs;
  }
  GRU_EXT_FN static Vector load(const BFloat16* p, int64_t first) {
#if GRU_EXT_INTRINSICS == 512
    return reinterpret_cast<Vector>(_mm512_maskz_loadu_epi16((uint32_t{1} << first) - 1, p));
#else
    BFloat16 numbers[count] = {};
    load_lanes(p, first, numbers);
    return load(numbers);
#endif
  }
  GRU_EXT_FN static VecF add_product(Vector a, Vector b, VecF sum) { return dot(sum, a, b); }
};
