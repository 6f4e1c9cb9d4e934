// int8 weights, four in a word, with a scale for each row. Activations are integers of 9 bits, a sign and 8 bits of magnitude,
// with a scale for each row and step: the instruction that multiplies bytes takes the magnitudes, and the signs go to the
// weights. Sums of products are exact integers: every level and every order of adding gives the same.
#pragma once

typedef int32_t RawI32 __attribute__((vector_size(GRU_EXT_VEC_BYTES)));
typedef int16_t RawI16 __attribute__((vector_size(GRU_EXT_VEC_BYTES)));
typedef int16_t I16OfLanes __attribute__((vector_size(GRU_EXT_VEC_BYTES / 2)));

// All lanes in one: by halves, because lane after lane each operation would wait for the one before it.
template <class Operation>
GRU_EXT_FN int32_t joined(RawI32 v, Operation operation) {
  constexpr int lanes = VecF::kLanes;
  int32_t lane[lanes];
  __builtin_memcpy(lane, &v, sizeof lane);
#pragma GCC unroll 4
  for (int width = lanes / 2; width > 0; width /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < width; ++i) lane[i] = operation(lane[i], lane[i + width]);
  return lane[0];
}

// The largest magnitude as bits, by which NaN is above infinity and infinity above all else.
GRU_EXT_FN uint32_t largest_magnitude(const float* a, int64_t K) {
  constexpr int lanes = VecF::kLanes;
  RawI32 largest = {};
  const auto take = [&](VecF v) __attribute__((always_inline)) {
    const RawI32 magnitude = reinterpret_cast<RawI32>(v.bits() & 0x7fffffff);
    largest = magnitude > largest ? magnitude : largest;
  };
  int64_t k = 0;
  for (; k + lanes <= K; k += lanes) take(load(a + k));
  if (k < K) take(load(a + k, K - k));
  const auto larger = [](int32_t x, int32_t y) __attribute__((always_inline)) { return y > x ? y : x; };
  return static_cast<uint32_t>(joined(largest, larger));
}

// Half a vector of 8-bit numbers to 16 bits each.
GRU_EXT_FN RawI16 sign_extend(const int8_t* p) {
#if GRU_EXT_INTRINSICS == 512
  return reinterpret_cast<RawI16>(_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif GRU_EXT_INTRINSICS == 256
  return reinterpret_cast<RawI16>(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
  typedef int8_t HalfVector __attribute__((vector_size(GRU_EXT_VEC_BYTES / 2), aligned(1), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const HalfVector*>(p), RawI16);
#endif
}

// The products of pairs of neighbours, added.
GRU_EXT_FN RawI32 multiply_pairs(RawI16 a, RawI16 b) {
#if GRU_EXT_INTRINSICS == 512
  return reinterpret_cast<RawI32>(_mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif GRU_EXT_INTRINSICS == 256
  return reinterpret_cast<RawI32>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(GRU_EXT_X86) && GRU_EXT_VEC_BYTES == 16
  return reinterpret_cast<RawI32>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const RawI32 x = reinterpret_cast<RawI32>(a), y = reinterpret_cast<RawI32>(b);
  return ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
#endif
}

// sum + the products of the four bytes of each lane, added; those of a without sign.
GRU_EXT_FN RawI32 dot(RawI32 sum, RawI32 a, RawI32 w) {
#if GRU_EXT_INTRINSICS == 512 && GRU_EXT_DOT
  return reinterpret_cast<RawI32>(
      _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(w)));
#else
  RawU32 result = reinterpret_cast<RawU32>(sum);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) result += reinterpret_cast<RawU32>(((a >> 8 * i) & 0xff) * ((w << (24 - 8 * i)) >> 24));
  return reinterpret_cast<RawI32>(result);
#endif
}

// The integer is rounded to float32 once, then multiplied by the scales of weights and activations.
GRU_EXT_FN VecF scaled(RawI32 sum, const float* scale, float of_row) {
  const VecF number = {__builtin_convertvector(sum, VecF::Raw)};
  return number * (load(scale) * VecF::broadcast(of_row));
}

// What an activation may be at most, so that K products with weights of up to 127 add up to less than 2^31.
GRU_EXT_FN int32_t largest_integer(int64_t K) {
  const int64_t fits = INT32_MAX / (127 * K);
  return static_cast<int32_t>(fits < UINT8_MAX ? fits : UINT8_MAX);
}

// Rounds a row of activations to integers, with zeros up to a whole word; arrange() says how those of a vector are stored.
// Returns the scale. A row that is not finite gets zeros and the scale NaN, so all sums with it become NaN.
template <class Arrange>
GRU_EXT_FN float to_integers(const float* a, int64_t K, int16_t* to, Arrange arrange) {
  constexpr int lanes = VecF::kLanes;
  const uint32_t bits = largest_magnitude(a, K);
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  const float limit = static_cast<float>(largest_integer(K));
  // Of the smallest numbers the reciprocal would be infinite; zeros do as well there.
  const VecF inverse = VecF::broadcast(largest < 0x1p-100f ? 0 : limit / largest);
  const VecF magic = VecF::broadcast(ExpConstants<float>::kRound);
  const uint32_t finite = bits < 0x7f800000 ? ~uint32_t{0} : 0;
  const auto round = [&](VecF v) __attribute__((always_inline)) {
    // Rounded twice, since not every level has a fused addition, and all must round to the same integer.
    return reinterpret_cast<RawI32>(((v * inverse + magic).bits() - magic.bits()) & finite);
  };
  int64_t k = 0;
  for (; k + lanes <= K; k += lanes) {
    const I16OfLanes rounded = arrange(round(load(a + k)));
    __builtin_memcpy(to + k, &rounded, sizeof rounded);
  }
  if (k < K) {
    const I16OfLanes rounded = arrange(round(load(a + k, K - k)));
    __builtin_memcpy(to + k, &rounded, static_cast<uint64_t>((K - k + 3) / 4 * 4) * sizeof(int16_t));
  }
  return largest - largest + largest / limit;
}

#if GRU_EXT_DOT
// In each 8 bytes, which hold four numbers: their upper bytes, then their lower bytes.
GRU_EXT_FN I16OfLanes split_bytes(I16OfLanes numbers) {
#if GRU_EXT_INTRINSICS == 512
  const __m256i from = _mm256_set1_epi64x(0x0604020007050301);
  // The instruction counts within 16 bytes.
  const __m256i upper_half = _mm256_set_epi64x(0x0808080808080808, 0, 0x0808080808080808, 0);
  const __m256i index = _mm256_add_epi8(from, upper_half);
  return reinterpret_cast<I16OfLanes>(_mm256_shuffle_epi8(reinterpret_cast<__m256i>(numbers), index));
#else
  constexpr int from[] = {1, 3, 5, 7, 0, 2, 4, 6};
  uint8_t before[sizeof numbers], after[sizeof numbers];
  __builtin_memcpy(before, &numbers, sizeof before);
  for (int i = 0; i < static_cast<int>(sizeof after); ++i) after[i] = before[i / 8 * 8 + from[i % 8]];
  __builtin_memcpy(&numbers, after, sizeof after);
  return numbers;
#endif
}

// The instruction adds up products of four bytes without sign, the magnitudes, with four that have one: the weights, or for
// activations below 0 their complements -w - 1. So for each of those a magnitude is missing from every sum with the row.
struct Int8Weights {
  static constexpr int64_t kPerWord = 4;
  static constexpr int kSums = 16;
  static constexpr int kParts = 1;
  struct Activation {
    uint32_t signs, magnitudes;  // four bytes each; a sign is 0 or 255
  } __attribute__((may_alias));
  using Sum = RawI32;
  struct Factor {
    RawI32 signs, magnitudes;
  };
  using Weights = RawI32;

  GRU_EXT_FN static RowScale prepare(const float* a, int64_t K, Activation* to) {
    RawI32 missing = {};
    const auto arrange = [&](RawI32 numbers) __attribute__((always_inline)) {
      const RawI32 sign = numbers >> 31, magnitude = (numbers ^ sign) - sign;
      missing += magnitude & sign;
      return split_bytes(__builtin_convertvector(sign << 8 | magnitude, I16OfLanes));
    };
    const float scale = to_integers(a, K, reinterpret_cast<int16_t*>(to), arrange);
    return {scale, joined(missing, [](int32_t x, int32_t y) __attribute__((always_inline)) { return x + y; })};
  }

  GRU_EXT_FN static Weights unpack(const uint32_t* w, int) {
    return reinterpret_cast<RawI32>(*reinterpret_cast<const UnalignedWords*>(w));
  }
  GRU_EXT_FN static Factor broadcast(const Activation* a, int) {
    return {static_cast<int32_t>(a->signs) - RawI32{}, static_cast<int32_t>(a->magnitudes) - RawI32{}};
  }
  GRU_EXT_FN static Sum add_product(Weights w, const Factor& a, Sum sum) { return dot(sum, a.magnitudes, w ^ a.signs); }
  GRU_EXT_FN static Sum start() { return RawI32{}; }
  GRU_EXT_FN static VecF finish(Sum sum, const float* scale, RowScale row) {
    // Sums with complements may have wrapped; what they come to has not.
    const RawU32 whole = reinterpret_cast<RawU32>(sum) + static_cast<uint32_t>(row.missing);
    return scaled(reinterpret_cast<RawI32>(whole), scale, row.scale);
  }
};
#else
// The words of a vector are not kept one by one: all first halves, then all second halves, so that half a vector is one load
// that widens its weights to 16 bits.
struct Int8Weights {
  static constexpr int64_t kPerWord = 4;
  static constexpr int kSums = 8;  // a product needs a register too
  static constexpr int kParts = 2;
  struct Activation {
    uint32_t pair[2];
  } __attribute__((may_alias));
  using Sum = RawI32;
  using Factor = RawI16;
  using Weights = RawI16;

  GRU_EXT_FN static RowScale prepare(const float* a, int64_t K, Activation* to) {
    const auto narrowed = [](RawI32 numbers)
                              __attribute__((always_inline)) { return __builtin_convertvector(numbers, I16OfLanes); };
    return {to_integers(a, K, reinterpret_cast<int16_t*>(to), narrowed), 0};
  }

  GRU_EXT_FN static Weights unpack(const uint32_t* w, int part) {
    return sign_extend(reinterpret_cast<const int8_t*>(w) + part * (GRU_EXT_VEC_BYTES / 2));
  }
  GRU_EXT_FN static Factor broadcast(const Activation* a, int part) {
    return reinterpret_cast<RawI16>(static_cast<int32_t>(a->pair[part]) - RawI32{});
  }
  GRU_EXT_FN static Sum add_product(Weights w, Factor a, Sum sum) { return sum + multiply_pairs(w, a); }
  GRU_EXT_FN static Sum start() { return RawI32{}; }
  GRU_EXT_FN static VecF finish(Sum sum, const float* scale, RowScale row) { return scaled(sum, scale, row.scale); }
};
#endif
