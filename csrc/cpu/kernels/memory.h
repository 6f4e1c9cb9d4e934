// Loads and stores between memory of type T and vectors of its compute type: whole vectors, and the first `count` lanes
// (1 <= count <= kLanes), where memory past the count is not touched and the other lanes are zero.
#pragma once

// Half the width for 16-bit types: as many elements as a Vec<float> has lanes.
typedef uint16_t Raw16 __attribute__((vector_size(GRU_EXT_VEC_BYTES / 2)));
typedef uint16_t Unaligned16 __attribute__((vector_size(GRU_EXT_VEC_BYTES / 2), aligned(2), may_alias));
typedef uint32_t RawU32 __attribute__((vector_size(GRU_EXT_VEC_BYTES)));

// To 32 bits each; compilers convert such vectors in two halves.
GRU_EXT_FN RawU32 zero_extend(Raw16 bits) {
#if GRU_EXT_INTRINSICS == 512
  return (RawU32)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)bits);
#elif GRU_EXT_INTRINSICS == 256
  return (RawU32)_mm256_cvtepu16_epi32((__m128i)bits);
#else
  return __builtin_convertvector(bits, RawU32);
#endif
}

GRU_EXT_FN VecF widen(Raw16 bits, BFloat16) { return {reinterpret_cast<VecF::Raw>(zero_extend(bits) << 16)}; }

// Rounds to nearest, ties to even; a NaN stays a NaN. In the lower half of each lane.
GRU_EXT_FN RawU32 bf16_bits(VecF a) {
  const RawU32 bits = reinterpret_cast<RawU32>(a.v);
  const RawU32 rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const RawU32 quiet = (bits >> 16) | 0x40;
  return a.v == a.v ? rounded : quiet;
}

GRU_EXT_FN Raw16 narrow(VecF a, BFloat16) { return __builtin_convertvector(bf16_bits(a), Raw16); }

#if GRU_EXT_INTRINSICS == 512
GRU_EXT_FN VecF widen(Raw16 bits, Half) { return {(VecF::Raw)_mm512_maskz_cvtph_ps(0xffff, (__m256i)bits)}; }
GRU_EXT_FN Raw16 narrow(VecF a, Half) { return (Raw16)_mm512_maskz_cvtps_ph(0xffff, (__m512)a.v, _MM_FROUND_TO_NEAREST_INT); }
#elif GRU_EXT_INTRINSICS == 256
GRU_EXT_FN VecF widen(Raw16 bits, Half) { return {(VecF::Raw)_mm256_cvtph_ps((__m128i)bits)}; }
GRU_EXT_FN Raw16 narrow(VecF a, Half) { return (Raw16)_mm256_cvtps_ph((__m256)a.v, _MM_FROUND_TO_NEAREST_INT); }
#elif defined(__aarch64__) && GRU_EXT_VEC_BYTES == 16
GRU_EXT_FN VecF widen(Raw16 bits, Half) { return {(VecF::Raw)vcvt_f32_f16((float16x4_t)bits)}; }
GRU_EXT_FN Raw16 narrow(VecF a, Half) { return (Raw16)vcvt_f16_f32((float32x4_t)a.v); }
#else
// IEEE binary16 by integer arithmetic: exponent bias 15 against 127, 10 bits of fraction against 23.
GRU_EXT_FN VecF widen(Raw16 half, Half) {
  const RawU32 bits = zero_extend(half);
  const RawU32 sign = (bits & 0x8000) << 16;
  // As a float, exponent and fraction shifted into place are too small by 2^112; the product is exact, subnormals included.
  const VecF::Raw magnitude = reinterpret_cast<VecF::Raw>((bits & 0x7fff) << 13) * 0x1p112f;
  const RawU32 special = ((bits & 0x7fff) << 13) | 0x7f800000;  // infinities and NaNs
  const RawU32 is_special = reinterpret_cast<RawU32>((bits & 0x7c00) == 0x7c00);
  return {reinterpret_cast<VecF::Raw>(sign | (is_special & special) | (~is_special & reinterpret_cast<RawU32>(magnitude)))};
}

GRU_EXT_FN Raw16 narrow(VecF a, Half) {
  const RawU32 bits = reinterpret_cast<RawU32>(a.v);
  const RawU32 sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  const RawU32 normal = (magnitude + 0xc8000fff + ((magnitude >> 13) & 1)) >> 13;  // rebias by -112, round to nearest even
  // Below 2^-14 the sum with 0.5 leaves the rounded subnormal in the low bits.
  const VecF::Raw small = reinterpret_cast<VecF::Raw>(magnitude) + 0.5f;
  const RawU32 subnormal = reinterpret_cast<RawU32>(small) - 0x3f000000;
  const RawU32 is_small = reinterpret_cast<RawU32>(magnitude < 0x38800000);
  const RawU32 is_large = reinterpret_cast<RawU32>(magnitude >= 0x477ff000);  // 65520 and more round to infinity
  const RawU32 is_nan = reinterpret_cast<RawU32>(magnitude > 0x7f800000);
  RawU32 half = (is_small & subnormal) | (~is_small & normal);
  half = (is_large & 0x7c00) | (~is_large & half);
  half = (is_nan & (0x7e00 | ((magnitude >> 13) & 0x3ff))) | (~is_nan & half);
  return __builtin_convertvector(half | sign, Raw16);
}
#endif

template <class T>
GRU_EXT_FN Vec<Compute<T>> load(const T* p) {
  if constexpr (sizeof(T) == 2)
    return widen(*reinterpret_cast<const Unaligned16*>(p), T{});
  else
    return {*reinterpret_cast<const typename Vec<T>::Unaligned*>(p)};
}

template <class T>
GRU_EXT_FN void store(T* p, Vec<Compute<T>> a) {
  if constexpr (sizeof(T) == 2)
    *reinterpret_cast<Unaligned16*>(p) = narrow(a, T{});
  else
    *reinterpret_cast<typename Vec<T>::Unaligned*>(p) = a.v;
}

#if GRU_EXT_INTRINSICS == 256
// Lanes below count all ones.
GRU_EXT_FN __m256i lane_mask(int64_t count, float) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
GRU_EXT_FN __m256i lane_mask(int64_t count, double) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif

// Copies of the first elements, where the level has no masks for their size. Not inlined: many tiles end with one, and copies
// of the loop in each of them made compilation several times as long.
template <class T>
__attribute__((noinline)) void load_lanes(const T* p, int64_t count, T* lanes) {
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
}

template <class T>
GRU_EXT_FN Vec<Compute<T>> load(const T* p, int64_t count) {
#if GRU_EXT_INTRINSICS == 512
  if constexpr (sizeof(T) == 2) return widen((Raw16)_mm256_maskz_loadu_epi16((1u << count) - 1, p), T{});
  if constexpr (sizeof(T) == 4) return {(VecF::Raw)_mm512_maskz_loadu_ps((1u << count) - 1, p)};
  if constexpr (sizeof(T) == 8) return {(VecD::Raw)_mm512_maskz_loadu_pd((1u << count) - 1, p)};
#elif GRU_EXT_INTRINSICS == 256
  if constexpr (sizeof(T) == 4) return {(VecF::Raw)_mm256_maskload_ps(p, lane_mask(count, T{}))};
  if constexpr (sizeof(T) == 8) return {(VecD::Raw)_mm256_maskload_pd(p, lane_mask(count, T{}))};
#endif
  T lanes[Vec<Compute<T>>::kLanes] = {};
  load_lanes(p, count, lanes);
  return load(lanes);
}

template <class T>
__attribute__((noinline)) void store_lanes(T* p, const T* lanes, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}

template <class T>
GRU_EXT_FN void store(T* p, Vec<Compute<T>> a, int64_t count) {
#if GRU_EXT_INTRINSICS == 512
  if constexpr (sizeof(T) == 2) return _mm256_mask_storeu_epi16(p, (1u << count) - 1, (__m256i)narrow(a, T{}));
  if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_ps(p, (1u << count) - 1, (__m512)a.v);
  if constexpr (sizeof(T) == 8) return _mm512_mask_storeu_pd(p, (1u << count) - 1, (__m512d)a.v);
#elif GRU_EXT_INTRINSICS == 256
  if constexpr (sizeof(T) == 4) return _mm256_maskstore_ps(p, lane_mask(count, T{}), (__m256)a.v);
  if constexpr (sizeof(T) == 8) return _mm256_maskstore_pd(p, lane_mask(count, T{}), (__m256d)a.v);
#endif
  T lanes[Vec<Compute<T>>::kLanes];
  store(lanes, a);
  store_lanes(p, lanes, count);
}

// Where only the count decides, and it is mostly the whole vector.
template <class T>
GRU_EXT_FN Vec<Compute<T>> load_upto(const T* p, int64_t count) {
  return count >= Vec<Compute<T>>::kLanes ? load(p) : load(p, count);
}

template <class T>
GRU_EXT_FN void store_upto(T* p, Vec<Compute<T>> a, int64_t count) {
  if (count >= Vec<Compute<T>>::kLanes)
    store(p, a);
  else
    store(p, a, count);
}

// Past the caches, to memory, where the level has an instruction for that: p must be aligned to the vector. Others see it after
// the fence.
template <class S>
GRU_EXT_FN void store_past_caches(S* p, Vec<S> a) {
#if GRU_EXT_INTRINSICS == 512
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), reinterpret_cast<__m512i>(a.v));
#elif GRU_EXT_INTRINSICS == 256
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(a.v));
#elif defined(GRU_EXT_X86) && GRU_EXT_VEC_BYTES == 16
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), reinterpret_cast<__m128i>(a.v));
#else
  store(p, a);
#endif
}

GRU_EXT_FN void fence_after_stores_past_caches() {
#ifdef GRU_EXT_X86
  _mm_sfence();
#endif
}

// Asks for the line of a cache that p lies in, so that it comes to the second-level cache meanwhile. p may be any address.
GRU_EXT_FN void ask_for(const void* p) { __builtin_prefetch(p, /*write=*/0, /*to the second-level cache*/ 2); }
// The same of one that will be written, to the first-level cache.
GRU_EXT_FN void ask_to_write(const void* p) { __builtin_prefetch(p, /*write=*/1); }

// Whether products of a type have ways that ask beside those that do not. More types would take a quarter more time to compile.
template <class T>
constexpr bool kAsks = sizeof(T) == 4;
