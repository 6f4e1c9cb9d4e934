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

// In each 16 bytes, within which shuffles are cheap: groups of `width` lanes from a and b in turn, from the lower half of the
// 16 bytes or from the upper.
template <int width, bool upper, class S>
GRU_EXT_FN Vec<S> unpack(Vec<S> a, Vec<S> b) {
  constexpr int n = Vec<S>::kLanes, block = 16 / sizeof(S);
  typename Vec<S>::RawBits from;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    const int group = i % block / width;
    from[i] = i / block * block + group / 2 * width + i % width + (upper ? block / 2 : 0) + (group % 2) * n;
  }
#if defined(__clang__)
  typename Vec<S>::Raw result;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) result[i] = from[i] < n ? a.v[from[i]] : b.v[from[i] - n];
  return {result};
#else
  return {__builtin_shuffle(a.v, b.v, from)};
#endif
}

// Adds the 16-byte parts of a, by halves, and stores the 16 bytes of sums.
template <class S>
GRU_EXT_FN void store_sum_of_parts(Vec<S> a, S* to) {
  typedef S Part __attribute__((vector_size(16)));
  constexpr int parts = GRU_EXT_VEC_BYTES / 16;
  Part part[parts];
  __builtin_memcpy(part, &a.v, sizeof part);
#pragma GCC unroll 2
  for (int width = parts / 2; width > 0; width /= 2)
#pragma GCC unroll 2
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  __builtin_memcpy(to, part, sizeof(Part));
}

// The sums of the lanes of four vectors, to sums[0 ... 3]; each in the same order, whatever the other three hold.
template <class S>
GRU_EXT_FN void sums_of_four(const Vec<S> (&v)[4], S* sums) {
  const Vec<S> first = unpack<1, false>(v[0], v[1]) + unpack<1, true>(v[0], v[1]);
  const Vec<S> second = unpack<1, false>(v[2], v[3]) + unpack<1, true>(v[2], v[3]);
  if constexpr (sizeof(S) == 4) {
    store_sum_of_parts(unpack<2, false>(first, second) + unpack<2, true>(first, second), sums);
  } else {
    store_sum_of_parts(first, sums);
    store_sum_of_parts(second, sums + 2);
  }
}
