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

// The sum of all lanes, always added in the same order: halves first.
template <class S>
GRU_EXT_FN S sum(Vec<S> a) {
  S lane[Vec<S>::kLanes];
  __builtin_memcpy(lane, &a.v, sizeof lane);
#pragma GCC unroll 8
  for (int width = Vec<S>::kLanes / 2; width > 0; width /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

// The lower halves of a and b interleaved, then the upper halves: a0 b0 a1 b1 ..., and the rest.
template <class S>
GRU_EXT_FN void interleave(Vec<S>& a, Vec<S>& b) {
  constexpr int n = Vec<S>::kLanes;
  typename Vec<S>::RawBits low, high;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    low[i] = i / 2 + (i % 2) * n;
    high[i] = low[i] + n / 2;
  }
#if defined(__clang__)
  typename Vec<S>::Raw l, h;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    l[i] = i % 2 ? b.v[i / 2] : a.v[i / 2];
    h[i] = i % 2 ? b.v[(i + n) / 2] : a.v[(i + n) / 2];
  }
#else
  const typename Vec<S>::Raw l = __builtin_shuffle(a.v, b.v, low), h = __builtin_shuffle(a.v, b.v, high);
#endif
  a.v = l;
  b.v = h;
}
