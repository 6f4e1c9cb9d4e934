// The matrix products of the backward step: d_x = d_gates W, d_W = d_gates^T x, and likewise for the hidden side. Blocked in
// the contraction; panels of B are packed so that a tile reads them from the first-level cache, where that pays.
#pragma once

// Whether the rows of B are read where they lie, for so many rows of A. A panel of vectors of 64 bytes is whole lines of a
// cache, so that copying it gains nothing: in place the products of a batch are 1.01 to 1.04 times as fast, those of 24 to 64
// rows at I = H = 768 to 1280 1.03 to 1.15 times. With narrower vectors a copy pays for more than a few tiles of rows, or where
// the rows of B are whole pages apart; measured on a Zen 5. Rows half pages apart share a few lines of the first-level cache:
// there a Zen 4 with AVX-512 takes with copies 0.88 of the time of gradients of weights, whose A lies like that as well, for 64
// rows at 512, 0.84 at 1024, 0.95 for 256; of products with the weights 0.99 to 1.02.
template <class T>
GRU_EXT_FN bool reads_b_in_place(const MatmulArgs<T>& p, int64_t rows) {
  const int64_t row_bytes = p.b_row * static_cast<int64_t>(sizeof(T));
  constexpr int64_t few = 24 * kTileRows;
  if constexpr (GRU_EXT_VEC_BYTES == 64) return p.a_col == 1 || rows <= few || row_bytes % (kPageBytes / 2) != 0;
  const bool near = bytes_of_b(p) <= kFarBytes && row_bytes % kPageBytes != 0;
  return rows <= (near ? 8 : 2) * kTileRows;
}

// For so few rows of A, the columns at the end that do not fill a vector are read in place as well, by masks: 0.95 of the time
// of a product of 32 rows with 138 columns.
constexpr int64_t kRowsOfEnds = 8 * kTileRows;

// With so few rows in C, B is read once and should stream: the contraction is cut short, and C is added to in the cache.
constexpr int kFewRows = 4;

// A panel of B, and a block of A if it is copied; nothing for short products.
template <class T>
int64_t matmul_scratch(const MatmulArgs<T>& p) {
  if (p.K <= kShortK || p.M <= kFewRows) return 0;
#if GRU_EXT_TILES
  return matmul_tiles_scratch(p);
#else
  return panel_size(p) + (MatmulOperands<T>::copies_a(p) ? block_size(p) : 0);
#endif
}

// Whether the first rows that meet a panel of B, or a copy of it, ask for the next: of more bytes than the second-level cache
// holds. The processor's own prefetchers do not, because a panel's rows are pieces of a page. Measured with AVX-512 on a Zen 4,
// I = H: 0.72 of the time of a product of 32 rows of 512 units, 0.80 with 64, 0.95 with 256, 0.82 with 64 of 1024, 0.96 with 64
// of 384; where the cache holds B 1.00 to 1.05. With AVX2 there 0.86 for 16 of 512, 0.93 for 64, 0.92 for 64 of 1024.
template <class T>
GRU_EXT_FN bool asks_for_b(const MatmulArgs<T>& p) {
  return bytes_of_b(p) > 1 << 20;
}

// Whether tiles ask for their part of C while they multiply: of more than kFarBytes. On a Zen 4 gradients of weights take 0.81
// and 0.90 of the time for 16 and 64 rows at I = H = 768, 0.95 for 1000 at 1024; nearer ones up to 1.15 times the time.
template <class T>
GRU_EXT_FN bool asks_for_c(const MatmulArgs<T>& p) {
  return p.M * p.c_row * static_cast<int64_t>(sizeof(Compute<T>)) > kFarBytes;
}

enum class Ask { kNothing, kB, kC };

// Where a tile goes: the first element, and what is added to it.
template <class S>
struct TileTarget {
  S* c;
  int64_t c_row;
  int64_t rows;  // inside of C
  bool accumulate;
  const S* addend;  // or null

  TileTarget at_row(int64_t m) const {
    return {c + m * c_row, c_row, rows - m, accumulate, addend ? addend + m * c_row : nullptr};
  }

  template <class Last>
  GRU_EXT_FN void put(int64_t at, Vec<S> sum, Last last) const {
    if (accumulate) sum = sum + last.load_c(c + at);
    if (addend) sum = sum + last.load_c(addend + at);
    last.store_c(c + at, sum);
  }
};

// R rows by V vectors from one block of the contraction; those inside of C are stored.
template <Ask ask, int R, int V, class A, class E, class Last, class S>
GRU_EXT_FN void matmul_tile(int64_t K, A a, const E* b, int64_t b_row, Last last, TileTarget<S> to) {
  constexpr int n = Vec<S>::kLanes;
  Vec<S> acc[R][V] = {};
  if constexpr (ask == Ask::kC)
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) ask_to_write(to.c + r * to.c_row + v * n);
  multiply_in_parts<ask == Ask::kB>(K, a, b, b_row, last, acc);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    if (A::kWholeTiles && r >= to.rows) break;
#pragma GCC unroll 4
    for (int v = 0; v < V - 1; ++v) to.put(r * to.c_row + v * n, acc[r][v], AllColumns{});
    to.put(r * to.c_row + (V - 1) * n, acc[r][V - 1], last);
  }
}

// All rows by V vectors of C from one block of the contraction. The first tile asks for the columns of B that follow, if any;
// whole tiles for C.
template <int V, Ask ask = Ask::kNothing, class A, class E, class Last, class S>
void matmul_tiles(int64_t K, A a, const E* b, int64_t b_row, Last last, TileTarget<S> to) {
  constexpr int rows_per_tile = V == 3 ? kTileRows : kTallTileRows;
  constexpr Ask of_others = ask == Ask::kC ? ask : Ask::kNothing;
  if constexpr (A::kWholeTiles) {
    for (int64_t m = 0; m < to.rows; m += rows_per_tile)
      matmul_tile<of_others, rows_per_tile, V>(K, a.from_row(m), b, b_row, last, to.at_row(m));
  } else {
    for_row_tiles<rows_per_tile>(0, to.rows, [&](int64_t m, auto rows) {
      constexpr int R = decltype(rows)::value;
      if (ask == Ask::kB && R == rows_per_tile && m == 0)
        matmul_tile<ask, R, V>(K, a, b, b_row, last, to);
      else
        matmul_tile<R == rows_per_tile ? of_others : Ask::kNothing, R, V>(K, a.from_row(m), b, b_row, last, to.at_row(m));
    });
  }
}

// Rows [begin, end) of one panel, V vectors of columns from column j, and contraction k0 ... k0 + K - 1. copied: `panel` holds
// these columns of B.
template <int V, bool copied = false, class A, class T>
void matmul_panel(const MatmulArgs<T>& p, int64_t begin, int64_t end, A a, int64_t k0, int64_t K, int64_t j,
                  Compute<T>* panel) {
  using S = Compute<T>;
  constexpr int width = V * Vec<S>::kLanes;
  const int64_t at = begin * p.c_row + j, count = p.J - j < width ? p.J - j : width;
  const TileTarget<S> to = {p.c + at, p.c_row, end - begin, p.accumulate || k0 > 0,
                            p.addend && k0 + K == p.K ? p.addend + at : nullptr};
  const T* const source = p.b + k0 * p.b_row + j;
  const FirstColumns first = {{count - (V - 1) * Vec<S>::kLanes}};
  // All columns, of B or of a copy. The first panel that meets A asks for more of it.
  const auto whole = [&](int64_t terms, const auto* b, int64_t b_row) __attribute__((always_inline)) {
    if constexpr (V == 3 && kAsks<T>) {
      if (asks_for_c(p)) return matmul_tiles<V, Ask::kC>(terms, a, b, b_row, AllColumns{}, to);
      if (j == 0) return matmul_tiles<V>(terms, asking(a), b, b_row, AllColumns{}, to);
    }
    matmul_tiles<V>(terms, a, b, b_row, AllColumns{}, to);
  };
  if constexpr (sizeof(T) != 2 && !copied) {
    if (count == width && reads_b_in_place(p, end - begin)) {
      if constexpr (V == 3 && kAsks<T>)
        if (asks_for_b(p)) return matmul_tiles<V, Ask::kB>(K, a, source, p.b_row, AllColumns{}, to);
      return whole(K, source, p.b_row);
    }
    if constexpr (GRU_EXT_VEC_BYTES == 64)
      if (end - begin <= kRowsOfEnds) return matmul_tiles<V>(K, a, source, p.b_row, first, to);
  }
  using Operands = MatmulOperands<T>;
  auto* const elements = reinterpret_cast<typename Operands::Element*>(panel);
  if constexpr (!copied) Operands::template copy_b<width>(source, p.b_row, K, count, asks_for_b(p), elements);
  const int64_t of_panel = Operands::elements(K);
  if (count == width)
    whole(of_panel, elements, width);
  else
    matmul_tiles<V>(of_panel, a, elements, width, FirstOfPanel{first.count}, to);
}

// Whether panels of three vectors are copied two at a time, where vectors have 32 bytes: together they are whole lines of a
// cache, alone a line and a half; and where rows of B are half pages apart, the first-level cache does not hold that half until
// the next panel is copied. Measured on a Zen 3 with 64 to 256 rows: 0.87 to 0.95 of the time at I = H = 1024, 0.94 to 0.99 at
// 512, and no difference for rows that are not half pages apart.
template <class T>
GRU_EXT_FN bool copies_two_panels(const MatmulArgs<T>& p, int64_t rows, int64_t columns) {
  return columns >= 2 * kPanelWidth<T> && p.b_row * static_cast<int64_t>(sizeof(T)) % (kPageBytes / 2) == 0 &&
         !reads_b_in_place(p, rows);
}

// All columns of rows [begin, end) for one block of the contraction. Panels are three vectors wide; a rest of one or four
// vectors becomes one or two panels of two.
template <class A, class T>
void matmul_block(const MatmulArgs<T>& p, int64_t begin, int64_t end, A a, int64_t k0, int64_t K, Compute<T>* panel) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  for (int64_t j = 0; j < p.J;) {
    const int64_t vectors = (p.J - j + n - 1) / n;
    if constexpr (kTwoPanels<T>)
      if (copies_two_panels(p, end - begin, p.J - j)) {
        constexpr int width = kPanelWidth<T>;
        copy_two_panels<width>(p.b + k0 * p.b_row + j, p.b_row, K, asks_for_b(p), panel);
        for (int i = 0; i < 2; ++i, j += width)
          matmul_panel<3, /*copied=*/true>(p, begin, end, a, k0, K, j, panel + i * K * width);
        continue;
      }
    if (vectors == 1) {
      matmul_panel<1>(p, begin, end, a, k0, K, j, panel);
      j += n;
    } else if (vectors == 2 || vectors == 4) {
      matmul_panel<2>(p, begin, end, a, k0, K, j, panel);
      j += 2 * n;
    } else {
      matmul_panel<3>(p, begin, end, a, k0, K, j, panel);
      j += 3 * n;
    }
  }
}

#if GRU_EXT_TILES
constexpr int64_t kLongK = kTiledK;
#else
constexpr int64_t kLongK = kBlockK;

// Rows [begin, end) of C from K terms from k0 on. Tiles have another (matmul_tiles.h).
template <class T>
GRU_EXT_FN void matmul_long(const MatmulArgs<T>& p, int64_t begin, int64_t end, int64_t k0, int64_t K, Compute<T>* scratch) {
  Compute<T>* const panel = scratch;
  Compute<T>* const packed_a = scratch + panel_size(p);
  for (int64_t m0 = begin; m0 < end; m0 += kBlockRows) {
    const int64_t m1 = m0 + kBlockRows < end ? m0 + kBlockRows : end;
    const Compute<T>* a = p.a + m0 * p.a_row + k0 * p.a_col;
    MatmulOperands<T>::with_a(p, a, m1 - m0, K, packed_a, [&](auto rows) { matmul_block(p, m0, m1, rows, k0, K, panel); });
  }
}
#endif

template <class T>
void matmul(const MatmulArgs<T>& p, int64_t begin, int64_t end, Compute<T>* scratch) {
  if (p.K == 0 && !p.accumulate)
    for (int64_t m = begin; m < end; ++m)
      for (int64_t i = m * p.c_row; i < m * p.c_row + p.J; ++i) p.c[i] = p.addend ? p.addend[i] : 0;
  const int64_t block_k = p.M <= kFewRows ? kShortK : kLongK;
  for (int64_t k0 = 0; k0 < p.K; k0 += block_k) {
    const int64_t K = p.K - k0 < block_k ? p.K - k0 : block_k;
    if (K <= kShortK)
      matmul_short(p, begin, end, k0, K);
    else
      matmul_long(p, begin, end, k0, K, scratch);
  }
}
