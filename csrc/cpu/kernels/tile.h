// The register tile that the matrix products of the backward step are made of: R rows times V vectors of columns, K long.
#pragma once

// Rows and vectors that fit the registers beside the operands: 16 registers on SSE and AVX2, 32 on AVX-512 and NEON.
#if GRU_EXT_VEC_BYTES == 64 || defined(__aarch64__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif

// acc[r][v] += sum over k of a[r * a_row + k * a_col] * b[k * b_row + v * kLanes ...]
template <int R, int V, class S>
GRU_EXT_FN void multiply_tile(int64_t K, const S* a, int64_t a_row, int64_t a_col, const S* b, int64_t b_row,
                              Vec<S> (&acc)[R][V]) {
  for (int64_t k = 0; k < K; ++k) {
    Vec<S> column[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) column[v] = load(b + v * Vec<S>::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto row = Vec<S>::broadcast(a[r * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] = fma(row, column[v], acc[r][v]);
    }
    a += a_col;
    b += b_row;
  }
}

// Contractions are summed in parts of this length: the rounding error of a sum in sequence grows with its length, and with
// 64 it is no larger than that of the libraries that torch uses.
constexpr int64_t kPartK = 64;

// The same part by part.
template <int R, int V, class S>
GRU_EXT_FN void multiply_in_parts(int64_t K, const S* a, int64_t a_row, int64_t a_col, const S* b, int64_t b_row,
                                  Vec<S> (&acc)[R][V]) {
  multiply_tile(K < kPartK ? K : kPartK, a, a_row, a_col, b, b_row, acc);
  for (int64_t k = kPartK; k < K; k += kPartK) {
    Vec<S> part[R][V] = {};
    multiply_tile(K - k < kPartK ? K - k : kPartK, a + k * a_col, a_row, a_col, b + k * b_row, b_row, part);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] = acc[r][v] + part[r][v];
  }
}

// Calls f(rows) over [begin, end) in steps of R rows and a rest of fewer; rows is a compile-time number, so that each tile
// has its own registers.
template <int R>
struct Rows {
  static constexpr int value = R;
};

template <int R, class F>
GRU_EXT_FN void rest_of_rows(int64_t begin, int64_t count, const F& f) {
  if constexpr (R > 0) {
    if (count == R)
      f(begin, Rows<R>{});
    else
      rest_of_rows<R - 1>(begin, count, f);
  }
}

template <int R, class F>
GRU_EXT_FN void for_row_tiles(int64_t begin, int64_t end, const F& f) {
  int64_t n = begin;
  for (; n + R <= end; n += R) f(n, Rows<R>{});
  rest_of_rows<R - 1>(n, end - n, f);
}
