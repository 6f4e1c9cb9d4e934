// The matrix products of the backward step: d_x = d_gates W, d_W = d_gates^T x, and likewise for the hidden side. Blocked in
// the contraction; panels of B are packed so that a tile reads them from the first-level cache, where that pays.
#pragma once

// Whether the rows of B are read where they lie, for so many rows of A. A panel of vectors of 64 bytes is whole lines of a
// cache, so that copying it gains nothing: in place the products of a batch are 1.01 to 1.04 times as fast, those of 24 to 64
// rows at I = H = 768 to 1280 1.03 to 1.15 times. With narrower vectors a copy pays for more than a few tiles of rows, or where
// the rows of B are whole pages apart; measured on a Zen 5.
template <class T>
GRU_EXT_FN bool reads_b_in_place(const MatmulArgs<T>& p, int64_t rows) {
  if constexpr (GRU_EXT_VEC_BYTES == 64) return true;
  const int64_t row_bytes = p.b_row * static_cast<int64_t>(sizeof(T));
  const bool near = p.K * row_bytes <= kFarBytes && row_bytes % kPageBytes != 0;
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
  return panel_size(p) + (MatmulOperands<T>::copies_a(p) ? block_size(p) : 0);
}

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
template <int R, int V, class A, class E, class Last, class S>
GRU_EXT_FN void matmul_tile(int64_t K, A a, const E* b, int64_t b_row, Last last, TileTarget<S> to) {
  constexpr int n = Vec<S>::kLanes;
  Vec<S> acc[R][V] = {};
  multiply_in_parts(K, a, b, b_row, last, acc);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    if (A::kWholeTiles && r >= to.rows) break;
#pragma GCC unroll 4
    for (int v = 0; v < V - 1; ++v) to.put(r * to.c_row + v * n, acc[r][v], AllColumns{});
    to.put(r * to.c_row + (V - 1) * n, acc[r][V - 1], last);
  }
}

// All rows by V vectors of C from one block of the contraction.
template <int V, class A, class E, class Last, class S>
void matmul_tiles(int64_t K, A a, const E* b, int64_t b_row, Last last, TileTarget<S> to) {
  constexpr int rows_per_tile = V == 3 ? kTileRows : kTallTileRows;
  if constexpr (A::kWholeTiles) {
    for (int64_t m = 0; m < to.rows; m += rows_per_tile)
      matmul_tile<rows_per_tile, V>(K, a.from_row(m), b, b_row, last, to.at_row(m));
  } else {
    for_row_tiles<rows_per_tile>(0, to.rows, [&](int64_t m, auto rows) {
      matmul_tile<decltype(rows)::value, V>(K, a.from_row(m), b, b_row, last, to.at_row(m));
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
  if constexpr (sizeof(T) != 2 && !copied) {
    if (count == width && reads_b_in_place(p, end - begin)) return matmul_tiles<V>(K, a, source, p.b_row, AllColumns{}, to);
    if constexpr (GRU_EXT_VEC_BYTES == 64)
      if (end - begin <= kRowsOfEnds) return matmul_tiles<V>(K, a, source, p.b_row, first, to);
  }
  using Operands = MatmulOperands<T>;
  auto* const elements = reinterpret_cast<typename Operands::Element*>(panel);
  if constexpr (!copied) Operands::template copy_b<width>(source, p.b_row, K, count, elements);
  const int64_t of_panel = Operands::elements(K);
  if (count == width)
    matmul_tiles<V>(of_panel, a, elements, width, AllColumns{}, to);
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
        copy_two_panels<width>(p.b + k0 * p.b_row + j, p.b_row, K, panel);
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

template <class T>
void matmul(const MatmulArgs<T>& p, int64_t begin, int64_t end, Compute<T>* scratch) {
  using S = Compute<T>;
  S* const panel = scratch;
  S* const packed_a = scratch + panel_size(p);
  if (p.K == 0 && !p.accumulate)
    for (int64_t m = begin; m < end; ++m)
      for (int64_t i = m * p.c_row; i < m * p.c_row + p.J; ++i) p.c[i] = p.addend ? p.addend[i] : 0;
  const int64_t block_k = p.M <= kFewRows ? kShortK : kBlockK;
  for (int64_t k0 = 0; k0 < p.K; k0 += block_k) {
    const int64_t K = p.K - k0 < block_k ? p.K - k0 : block_k;
    if (K <= kShortK) {
      matmul_short(p, begin, end, k0, K);
      continue;
    }
    for (int64_t m0 = begin; m0 < end; m0 += kBlockRows) {
      const int64_t m1 = m0 + kBlockRows < end ? m0 + kBlockRows : end;
      const S* a = p.a + m0 * p.a_row + k0 * p.a_col;
      MatmulOperands<T>::with_a(p, a, m1 - m0, K, packed_a, [&](auto rows) { matmul_block(p, m0, m1, rows, k0, K, panel); });
    }
  }
}
