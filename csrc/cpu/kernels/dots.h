// Dot products of rows of x or h with rows of the weights as they lie in memory: a vector runs along the contraction. Every
// sum is taken in the same order, in whatever tile it is.
#pragma once

// A tile is kDotRows rows of x or h times kDotUnits rows of the weights: its sums, a column of weights and a vector of x fit 16
// registers on AVX2, 32 on AVX-512 and NEON. On SSE they do not, but reading the weights for two rows at a time takes 14 %
// longer.
constexpr int kDotUnits = 4;
#if GRU_EXT_VEC_BYTES == 64 || defined(__aarch64__)
constexpr int kDotRows = 6;
#else
constexpr int kDotRows = 3;
#endif

// A single row meets as many rows of the weights as there are lanes to add up, and a piece of each before the next, which is so
// many bytes: weights from the second-level cache come quicker in longer pieces. With AVX-512 a step at I = H = 128 is 1.5
// times as fast as with four rows in turn, vector by vector; with half or twice the piece 1.0 and 1.2 times.
constexpr int64_t kPieceBytes = 256;
template <class T>
constexpr int kSingleRowUnits = Vec<Compute<T>>::kLanes < kDotUnits ? kDotUnits : Vec<Compute<T>>::kLanes;
// So do few rows, which are two or three, with AVX-512: as many rows of the weights as leave their sums in registers. 1.4 and
// 1.2 times as fast at 128. Of four rows and more each piece would be read from the first-level cache too often (0.85).
constexpr bool kFewRowsInPieces = GRU_EXT_VEC_BYTES == 64;
constexpr int kFewRowsUnits = 8;

// Weights of more bytes are far: from the third-level cache, or memory. A tile that meets those asks for the rows of the next
// one, because the processor's own prefetchers stop at the end of a page, where a row often ends. Measured for a single row,
// float32, I = H, on machines with 32 MB of third-level cache: 1.4 times as fast at 1024 and 1.5 at 1280 with AVX-512 on a Zen
// 4, 1.2 times with AVX2 on a Zen 3; what the caches hold takes up to 1.08 and 1.18 times as long.
constexpr int64_t kFarWeights = 16 << 20;
// A single row meets those of eight rows with AVX-512, in longer pieces; line by line, and of four, with narrower vectors, of
// which more additions of a piece wait for each other. Without asking, longer pieces alone were 1.5 times as fast at 1024 on a
// Zen 5 and 0.8 times on a Zen 4; with it they take 1.03 and 1.08 times as long there as line by line, at 1024 and 1280.
constexpr int kFarUnits = GRU_EXT_VEC_BYTES == 64 ? 8 : kDotUnits;
constexpr int64_t kFarPieceBytes = 1024;

// What is read of a row at a time, `count` numbers, and how such meet those of another row. Where the level multiplies pairs of
// bfloat16, bf16_dots.h has them.
template <class T>
struct Numbers {
  static constexpr int count = Vec<Compute<T>>::kLanes;
  static constexpr bool widened = sizeof(T) == 2;
  using Vector = Vec<Compute<T>>;

  GRU_EXT_FN static Vector load(const T* p) { return cpu::load(p); }
  GRU_EXT_FN static Vector load(const T* p, int64_t first) { return cpu::load(p, first); }
  GRU_EXT_FN static Vec<Compute<T>> add_product(Vector a, Vector b, Vec<Compute<T>> sum) { return fma(a, b, sum); }
};

// How they are read: whole, or the first of them at the end of a row.
struct WholeVector {
  template <class T>
  GRU_EXT_FN typename Numbers<T>::Vector operator()(const T* p) const {
    return Numbers<T>::load(p);
  }
};
struct FirstNumbers {
  int64_t count;
  template <class T>
  GRU_EXT_FN typename Numbers<T>::Vector operator()(const T* p) const {
    return Numbers<T>::load(p, count);
  }
};

// The dot products of R rows with U rows of weights.
template <int R, int U, class T>
struct DotTile {
  using S = Compute<T>;
  using N = Numbers<T>;
  Vec<S> acc[R][U] = {};

  // Of K numbers each. ask: for as many rows of the weights that follow these, meanwhile.
  template <bool ask>
  GRU_EXT_FN void add(int64_t K, const T* x, int64_t x_row, const T* w, int64_t w_row) {
    constexpr int n = N::count;
    int64_t k = 0;
    constexpr bool far_row = R == 1 && ask && GRU_EXT_VEC_BYTES == 64;
    constexpr bool pieces = far_row || (!ask && (R == 1 || (kFewRowsInPieces && U == kFewRowsUnits)));
    constexpr int line = 64 / sizeof(T) > n ? 64 / sizeof(T) : n;
    constexpr int piece = (far_row ? kFarPieceBytes : kPieceBytes) / GRU_EXT_VEC_BYTES * n;
    if constexpr (pieces)
      for (; k + piece <= K; k += piece)
#pragma GCC unroll 16
        for (int u = 0; u < U; ++u)
#pragma GCC unroll 16
          for (int i = 0; i < piece; i += n) {
            if (ask && i % line == 0) ask_for(w + (U + u) * w_row + k + i);
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r)
              acc[r][u] = N::add_product(N::load(w + u * w_row + k + i), N::load(x + r * x_row + k + i), acc[r][u]);
          }
    if constexpr (ask)
      for (; k + line <= K; k += line) {
#pragma GCC unroll 16
        for (int u = 0; u < U; ++u) ask_for(w + (U + u) * w_row + k);
#pragma GCC unroll 4
        for (int i = 0; i < line; i += n) add_vector(x + k + i, x_row, w + k + i, w_row, WholeVector{});
      }
    for (; k + n <= K; k += n) add_vector(x + k, x_row, w + k, w_row, WholeVector{});
    if (k < K) add_vector(x + k, x_row, w + k, w_row, FirstNumbers{K - k});
  }

  // To sums[r * row + u].
  GRU_EXT_FN void store_sums(S* sums, int64_t row) const {
    constexpr int n = Vec<S>::kLanes, together = n < U ? n : U;
#pragma GCC unroll 16
    for (int first = 0; first < R * U; first += n) {
      Vec<S> lanes[n] = {};
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i)
        if (first + i < R * U) lanes[i] = acc[(first + i) / U][(first + i) % U];
      S sum[n];
      store(sum, sums_of_lanes(lanes));
#pragma GCC unroll 16
      for (int i = 0; i < n; i += together)
        if (first + i < R * U) __builtin_memcpy(sums + (first + i) / U * row + (first + i) % U, sum + i, together * sizeof(S));
    }
  }

 private:
  template <class Load>
  GRU_EXT_FN void add_vector(const T* x, int64_t x_row, const T* w, int64_t w_row, Load load_vector) {
    typename N::Vector column[U];
#pragma GCC unroll 16
    for (int u = 0; u < U; ++u) column[u] = load_vector(w + u * w_row);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const typename N::Vector row = load_vector(x + r * x_row);
#pragma GCC unroll 16
      for (int u = 0; u < U; ++u) acc[r][u] = N::add_product(column[u], row, acc[r][u]);
    }
  }
};
