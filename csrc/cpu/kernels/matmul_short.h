// Products with a contraction of few terms: the gradients of the weights for small batches, where the time goes into writing C,
// and the gradients of single rows, whose long contraction is cut into short ones so that B is read in order while C stays in
// the first-level cache. The number of terms is known to the compiler: a loop over so few would take longer than what is in it.
#pragma once

// The longest; longer ones are made of several.
constexpr int kShortK = 8;
// Rows and vectors of a tile: with more of either, or with one row, 10 to 50 % slower on AVX2.
constexpr int kShortRows = 4, kShortVectors = 2;
// One row goes in longer pieces: where it is the only one, of B, which is read once; of one term, of C, which is written once.
// Measured on a Zen 5, N = 1, I = H = 64 to 1024: a product is 1.05 to 1.5 times as fast with AVX-512 and at the default level;
// with AVX2 1.03 to 1.3 times, but for gradients in the second-level cache, 0.85 to 1. Sixteen vectors of C at a time are
// slower.
constexpr int kPieceVectors = 8, kLongPieceVectors = 16;

// Weights and gradients of more bytes are far: in the third-level cache or memory. Such a C that is only written goes past the
// caches, which would read it first and then hold nothing else. Measured with 32 MB of third-level cache, N = 1: the backward
// kernels at I = H = 1024 are 1.35 times as fast, at 768 as well. Of such a B rows are asked for that follow: on a Zen 4 the
// products with the weights are 1.25 times as fast at 768, 1.5 at 1024; nearer weights take 1.01 to 1.2 times as long.
constexpr int64_t kFarBytes = 6 << 20;

// Of all rows of B, with what lies between them.
template <class T>
GRU_EXT_FN int64_t bytes_of_b(const MatmulArgs<T>& p) {
  return p.K * p.b_row * static_cast<int64_t>(sizeof(T));
}

// How the parts of a product go about memory: C past the caches; asking for as many rows of B that follow those of a part.
template <bool past_caches, bool ask>
struct Ways {
  static constexpr bool kPastCaches = past_caches, kAsk = ask;
};

// R rows by V vectors of C from `terms` terms. The last vector has `lanes` columns of C.
template <int terms, int R, int V, class Way, class T, class S = Compute<T>>
GRU_EXT_FN void short_tile(const MatmulArgs<T>& p, const S* a, const T* b, S* c, const S* addend, int64_t lanes,
                           bool accumulate) {
  constexpr int n = Vec<S>::kLanes;
  Vec<S> acc[R][V];
#pragma GCC unroll 8
  for (int k = 0; k < terms; ++k) {
    Vec<S> column[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      if (Way::kAsk && v * n * sizeof(T) % 64 == 0) ask_for(b + (terms + k) * p.b_row + v * n);
      column[v] = v < V - 1 ? load(b + k * p.b_row + v * n) : load_upto(b + k * p.b_row + v * n, lanes);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const auto row = Vec<S>::broadcast(a[r * p.a_row + k * p.a_col]);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) acc[r][v] = k == 0 ? row * column[v] : fma(row, column[v], acc[r][v]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      const int64_t at = r * p.c_row + v * n, count = v < V - 1 ? n : lanes;
      Vec<S> sum = acc[r][v];
      if (accumulate) sum = sum + load_upto(c + at, count);
      if (addend) sum = sum + load_upto(addend + at, count);
      if (Way::kPastCaches && count >= n)
        store_past_caches(c + at, sum);
      else
        store_upto(c + at, sum, count);
    }
}

// R rows from terms k0 ... k0 + terms - 1.
template <int terms, int R, class Way, class T>
GRU_EXT_FN void add_terms_to_rows(const MatmulArgs<T>& p, int64_t m, int64_t k0, bool accumulate, bool with_addend) {
  using S = Compute<T>;
  constexpr int64_t n = Vec<S>::kLanes;
  const S* const a = p.a + m * p.a_row + k0 * p.a_col;
  const T* const b = p.b + k0 * p.b_row;
  S* const c = p.c + m * p.c_row;
  const S* const addend = with_addend ? p.addend + m * p.c_row : nullptr;
  int64_t j = 0;
  const auto tiles = [&](auto vectors, int64_t lanes) __attribute__((always_inline)) {
    constexpr int V = decltype(vectors)::value;
    for (; j + (V - 1) * n + lanes <= p.J; j += V * n)
      short_tile<terms, R, V, Way>(p, a, b + j, c + j, addend ? addend + j : nullptr, lanes, accumulate);
  };
  if constexpr (R == 1 && terms == kShortK) tiles(Rows<kLongPieceVectors>{}, n);
  if constexpr (R == 1 && (terms == 1 || terms == kShortK)) tiles(Rows<kPieceVectors>{}, n);
  tiles(Rows<kShortVectors>{}, n);
  tiles(Rows<1>{}, n);
  if (j < p.J) tiles(Rows<1>{}, p.J - j);
}

// Rows [begin, end).
template <int terms, class Way, class T>
void add_terms(const MatmulArgs<T>& p, int64_t begin, int64_t end, int64_t k0, bool accumulate, bool with_addend) {
  constexpr int64_t piece = kPieceVectors * Vec<Compute<T>>::kLanes;
  const auto add = [&](int64_t m, auto rows) __attribute__((always_inline)) {
    add_terms_to_rows<terms, decltype(rows)::value, Way>(p, m, k0, accumulate, with_addend);
  };
  if constexpr (terms == kShortK) return for_row_tiles<kShortRows>(begin, end, add);
  // The rows of gradients of weights are many: what is left of them may take its time.
  int64_t m = begin;
  if (terms > 1 || p.J < piece)
    for (; m + kShortRows <= end; m += kShortRows) add(m, Rows<kShortRows>{});
  for (; m < end; ++m) add(m, Rows<1>{});
}

// Whether all of C is written once, and is far, in whole vectors.
template <int terms, class T>
GRU_EXT_FN bool goes_past_caches(const MatmulArgs<T>& p) {
  const int64_t row_bytes = p.c_row * static_cast<int64_t>(sizeof(Compute<T>));
  const bool aligned = (reinterpret_cast<uintptr_t>(p.c) | static_cast<uintptr_t>(row_bytes)) % GRU_EXT_VEC_BYTES == 0;
  return p.K == terms && !p.accumulate && !p.addend && aligned && p.M * row_bytes > kFarBytes;
}

// Rows [begin, end) from K terms at k0, at most kShortK. The addend comes with the last.
template <class T>
void matmul_short(const MatmulArgs<T>& p, int64_t begin, int64_t end, int64_t k0, int64_t K) {
  one_of_rows<kShortK>(k0, K, [&](int64_t, auto count) __attribute__((always_inline)) {
    constexpr int terms = decltype(count)::value;
    const bool accumulate = p.accumulate || k0 > 0, with_addend = p.addend && k0 + terms == p.K;
    // Batches of those sizes are what so large gradients are computed for.
    if constexpr ((terms & (terms - 1)) == 0) {
      if (goes_past_caches<terms>(p)) {
        add_terms<terms, Ways</*past_caches=*/true, /*ask=*/false>>(p, begin, end, k0, accumulate, with_addend);
        return fence_after_stores_past_caches();
      }
    }
    if constexpr (terms == kShortK && kAsks<T>)
      if (bytes_of_b(p) > kFarBytes)
        return add_terms<terms, Ways</*past_caches=*/false, /*ask=*/true>>(p, begin, end, k0, accumulate, with_addend);
    add_terms<terms, Ways</*past_caches=*/false, /*ask=*/false>>(p, begin, end, k0, accumulate, with_addend);
  });
}
