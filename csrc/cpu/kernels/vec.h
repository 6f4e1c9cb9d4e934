// A vector of numbers at the width of the level being compiled. Written on the compilers' vector extension, so one source
// serves every level; intrinsics stand only where the extension has no word: fused multiply-add, masks, half precision. With
// GRU_EXT_INTRINSICS 0 none are used, so that tests can run vectors of any width on any machine.
#pragma once

#define GRU_EXT_FN inline __attribute__((always_inline))

template <class S>
struct BitsOf {
  using type = uint32_t;
};
template <>
struct BitsOf<double> {
  using type = uint64_t;
};

template <class S>
struct Vec {
  static constexpr int kLanes = GRU_EXT_VEC_BYTES / sizeof(S);
  using Bits = typename BitsOf<S>::type;
  typedef S Raw __attribute__((vector_size(GRU_EXT_VEC_BYTES)));
  typedef Bits RawBits __attribute__((vector_size(GRU_EXT_VEC_BYTES)));
  typedef S Unaligned __attribute__((vector_size(GRU_EXT_VEC_BYTES), aligned(sizeof(S)), may_alias));

  Raw v;

  // s - 0 is s for every s, and folds away; 0 + s would turn -0 into 0.
  GRU_EXT_FN static Vec broadcast(S s) { return {s - Raw{}}; }
  GRU_EXT_FN static Vec zero() { return {Raw{}}; }
  GRU_EXT_FN static Vec from_bits(RawBits bits) { return {reinterpret_cast<Raw>(bits)}; }
  GRU_EXT_FN RawBits bits() const { return reinterpret_cast<RawBits>(v); }

  GRU_EXT_FN friend Vec operator-(Vec a) { return {-a.v}; }
  GRU_EXT_FN friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
  GRU_EXT_FN friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
  GRU_EXT_FN friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
  GRU_EXT_FN friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
  GRU_EXT_FN friend Vec operator-(int a, Vec b) { return {static_cast<S>(a) - b.v}; }
  GRU_EXT_FN friend Vec operator/(int a, Vec b) { return {static_cast<S>(a) / b.v}; }
  GRU_EXT_FN friend Vec operator+(int a, Vec b) { return {static_cast<S>(a) + b.v}; }
};

using VecF = Vec<float>;
using VecD = Vec<double>;

// a * b + c, rounded once where the level has the instruction.
template <class S>
GRU_EXT_FN Vec<S> fma(Vec<S> a, Vec<S> b, Vec<S> c) {
#if GRU_EXT_INTRINSICS == 512
  if constexpr (sizeof(S) == 4) return {(typename Vec<S>::Raw)_mm512_fmadd_ps((__m512)a.v, (__m512)b.v, (__m512)c.v)};
  if constexpr (sizeof(S) == 8) return {(typename Vec<S>::Raw)_mm512_fmadd_pd((__m512d)a.v, (__m512d)b.v, (__m512d)c.v)};
#elif GRU_EXT_INTRINSICS == 256
  if constexpr (sizeof(S) == 4) return {(typename Vec<S>::Raw)_mm256_fmadd_ps((__m256)a.v, (__m256)b.v, (__m256)c.v)};
  if constexpr (sizeof(S) == 8) return {(typename Vec<S>::Raw)_mm256_fmadd_pd((__m256d)a.v, (__m256d)b.v, (__m256d)c.v)};
#elif defined(__aarch64__) && GRU_EXT_VEC_BYTES == 16
  if constexpr (sizeof(S) == 4) return {(typename Vec<S>::Raw)vfmaq_f32((float32x4_t)c.v, (float32x4_t)a.v, (float32x4_t)b.v)};
  if constexpr (sizeof(S) == 8) return {(typename Vec<S>::Raw)vfmaq_f64((float64x2_t)c.v, (float64x2_t)a.v, (float64x2_t)b.v)};
#endif
  return a * b + c;
}

// The larger of both, and the smaller; b where one of them is NaN.
template <class S>
GRU_EXT_FN Vec<S> larger(Vec<S> a, Vec<S> b) {
#if GRU_EXT_INTRINSICS == 512
  if constexpr (sizeof(S) == 4) return {(typename Vec<S>::Raw)_mm512_maskz_max_ps(0xffff, (__m512)a.v, (__m512)b.v)};
  if constexpr (sizeof(S) == 8) return {(typename Vec<S>::Raw)_mm512_maskz_max_pd(0xff, (__m512d)a.v, (__m512d)b.v)};
#elif GRU_EXT_INTRINSICS == 256
  if constexpr (sizeof(S) == 4) return {(typename Vec<S>::Raw)_mm256_max_ps((__m256)a.v, (__m256)b.v)};
  if constexpr (sizeof(S) == 8) return {(typename Vec<S>::Raw)_mm256_max_pd((__m256d)a.v, (__m256d)b.v)};
#endif
  return {a.v > b.v ? a.v : b.v};
}

template <class S>
GRU_EXT_FN Vec<S> smaller(Vec<S> a, Vec<S> b) {
#if GRU_EXT_INTRINSICS == 512
  if constexpr (sizeof(S) == 4) return {(typename Vec<S>::Raw)_mm512_maskz_min_ps(0xffff, (__m512)a.v, (__m512)b.v)};
  if constexpr (sizeof(S) == 8) return {(typename Vec<S>::Raw)_mm512_maskz_min_pd(0xff, (__m512d)a.v, (__m512d)b.v)};
#elif GRU_EXT_INTRINSICS == 256
  if constexpr (sizeof(S) == 4) return {(typename Vec<S>::Raw)_mm256_min_ps((__m256)a.v, (__m256)b.v)};
  if constexpr (sizeof(S) == 8) return {(typename Vec<S>::Raw)_mm256_min_pd((__m256d)a.v, (__m256d)b.v)};
#endif
  return {a.v < b.v ? a.v : b.v};
}
