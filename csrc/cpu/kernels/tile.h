// The register tile that the matrix products of the backward step are made of: R rows times V vectors of columns, K long.
#pragma once

// Rows of a tile of three vectors, and of one of fewer, that fit the registers beside the operands: 16 registers on SSE and
// AVX2, 32 on AVX-512 and NEON. SSE has no fused multiply-add and overwrites an operand, so products take registers of their
// own.
#if GRU_EXT_VEC_BYTES == 64 || defined(__aarch64__)
constexpr int kTileRows = 8, kTallTileRows = 12;
#elif GRU_EXT_VEC_BYTES == 32
constexpr int kTileRows = 4, kTallTileRows = 6;
#else
constexpr int kTileRows = 3, kTallTileRows = 4;
#endif

// The rows of A that a tile reads, from a column on; first(r) is the number of row r in that column. As they lie, columns
// follow one another.
template <class S>
struct RowsInPlace {
  static constexpr bool kWholeTiles = false, kAsks = false;
  const S* a;
  int64_t row;  // from a row to the next

  GRU_EXT_FN S first(int r) const { return a[r * row]; }
  GRU_EXT_FN RowsInPlace from_row(int64_t m) const { return {a + m * row, row}; }
  GRU_EXT_FN RowsInPlace from_column(int64_t k) const { return {a + k, row}; }
};

// As they lie transposed, the numbers of a column follow one another. asks: for those of the third tile after this one; a
// tile's numbers are pieces of lines far apart, which no processor fetches by itself. On a Zen 4 gradients of weights take 0.93
// to 0.98 of the time from 100 rows on.
template <class S, bool asks = false>
struct ColumnsInPlace {
  static constexpr bool kWholeTiles = false, kAsks = asks;
  const S* a;
  int64_t column;  // from a column to the next

  GRU_EXT_FN S first(int r) const { return a[r]; }
  GRU_EXT_FN void ask() const { ask_for(a + 3 * kTileRows); }
  GRU_EXT_FN ColumnsInPlace from_row(int64_t m) const { return {a + m, column}; }
  GRU_EXT_FN ColumnsInPlace from_column(int64_t k) const { return {a + k * column, column}; }
};

// In panels, columns of kPanelRows rows follow one another: a whole number of tiles, of either height.
constexpr int kPanelRows = kTileRows == 8 ? 24 : 12;
static_assert(kPanelRows % kTileRows == 0 && kPanelRows % kTallTileRows == 0);

template <class S>
struct RowsInPanels {
  static constexpr bool kWholeTiles = true, kAsks = false;
  const S* a;
  int64_t panel;  // from a panel to the next

  GRU_EXT_FN S first(int r) const { return a[r]; }
  GRU_EXT_FN RowsInPanels from_row(int64_t m) const { return {a + m / kPanelRows * panel + m % kPanelRows, panel}; }
  GRU_EXT_FN RowsInPanels from_column(int64_t k) const { return {a + k * kPanelRows, panel}; }
};

// The rows of A for tiles that meet them for the first time.
template <class A>
GRU_EXT_FN A asking(A a) {
  return a;
}
template <class S>
GRU_EXT_FN ColumnsInPlace<S, /*asks=*/true> asking(ColumnsInPlace<S> a) {
  return {a.a, a.column};
}

// How elements of A and B are multiplied: numbers one by one. bf16_operands.h has pairs.
template <class E>
struct Factors {
  using Vector = Vec<E>;
  GRU_EXT_FN static Vector load(const E* p) { return cpu::load(p); }
  GRU_EXT_FN static Vector load(const E* p, int64_t count) { return cpu::load(p, count); }
  GRU_EXT_FN static Vector broadcast(E e) { return Vec<E>::broadcast(e); }
  GRU_EXT_FN static Vec<E> add_product(Vector a, Vector b, Vec<E> sum) { return fma(a, b, sum); }
};

// The last vector of a tile's columns, of B and of C: all of it is there.
struct AllColumns {
  template <class F, class E>
  GRU_EXT_FN static auto load_b(const E* p) {
    return F::load(p);
  }
  template <class S>
  GRU_EXT_FN static Vec<S> load_c(const S* p) {
    return load(p);
  }
  template <class S>
  GRU_EXT_FN static void store_c(S* p, Vec<S> a) {
    store(p, a);
  }
};

// The first numbers are. A panel has all of B, whose columns outside of C are 0.
struct FirstOfPanel {
  int64_t count;

  template <class F, class E>
  GRU_EXT_FN static auto load_b(const E* p) {
    return F::load(p);
  }
  template <class S>
  GRU_EXT_FN Vec<S> load_c(const S* p) const {
    return load(p, count);
  }
  template <class S>
  GRU_EXT_FN void store_c(S* p, Vec<S> a) const {
    store(p, a, count);
  }
};
struct FirstColumns : FirstOfPanel {
  template <class F, class E>
  GRU_EXT_FN auto load_b(const E* p) const {
    return F::load(p, count);
  }
};

// acc[r][v] += sum over k of A[r][k] * b[k * b_row + v * kLanes ...]. ask_b: and asks for as many columns that follow these.
template <bool ask_b = false, int R, int V, class A, class E, class Last, class S>
GRU_EXT_FN void multiply_tile(int64_t K, A a, const E* b, int64_t b_row, Last last, Vec<S> (&acc)[R][V]) {
  using F = Factors<E>;
  for (int64_t k = 0; k < K; ++k) {
    if constexpr (A::kAsks) a.ask();
    if constexpr (ask_b)
#pragma GCC unroll 4
      for (int at = 0; at < V * GRU_EXT_VEC_BYTES; at += 64)
        ask_for(reinterpret_cast<const char*>(b + V * Vec<S>::kLanes) + at);
    typename F::Vector column[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const E* const p = b + v * Vec<S>::kLanes;
      column[v] = v < V - 1 ? F::load(p) : last.template load_b<F>(p);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const auto row = F::broadcast(a.first(r));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] = F::add_product(row, column[v], acc[r][v]);
    }
    a = a.from_column(1);
    b += b_row;
  }
}

// Contractions are summed in parts of this length: the rounding error of a sum in sequence grows with its length, and with
// 128 it is no larger than that of the libraries that torch uses; 64 would cost 2 % of the time.
constexpr int64_t kPartK = 128;

// The same part by part.
template <bool ask_b, int R, int V, class A, class E, class Last, class S>
GRU_EXT_FN void multiply_in_parts(int64_t K, A a, const E* b, int64_t b_row, Last last, Vec<S> (&acc)[R][V]) {
  multiply_tile<ask_b>(K < kPartK ? K : kPartK, a, b, b_row, last, acc);
  for (int64_t k = kPartK; k < K; k += kPartK) {
    Vec<S> part[R][V] = {};
    multiply_tile<ask_b>(K - k < kPartK ? K - k : kPartK, a.from_column(k), b + k * b_row, b_row, last, part);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] = acc[r][v] + part[r][v];
  }
}

// Calls f(begin, rows) for [begin, end) in steps of R rows; of large steps the last two share what R does not divide, because a
// step of few rows reads much for what it computes. rows is a compile-time number, so that each tile has its own registers.
template <int R>
struct Rows {
  static constexpr int value = R;
};

template <int R, class F>
GRU_EXT_FN void one_of_rows(int64_t begin, int64_t count, const F& f) {
  if constexpr (R > 0) {
    if (count == R)
      f(begin, Rows<R>{});
    else
      one_of_rows<R - 1>(begin, count, f);
  }
}

template <int R, class F>
GRU_EXT_FN void for_row_tiles(int64_t begin, int64_t end, const F& f) {
  // The most rows that may be left for smaller steps. Measured with R = 3: one row left over takes less than two steps of two.
  constexpr int64_t shared = R > 4 ? 2 * R - 1 : R - 1;
  int64_t n = begin;
  for (; end - n > shared || end - n == R; n += R) f(n, Rows<R>{});
  while (n < end) {
    const int64_t left = end - n, count = left > R ? (left + 1) / 2 : left;
    one_of_rows<R>(n, count, f);
    n += count;
  }
}
