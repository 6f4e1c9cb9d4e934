// Copies of operands in the order in which a tile reads them, in the compute type.
#pragma once

// The transpose of n rows of n numbers, row_step apart: column k in v[k].
template <class S>
GRU_EXT_FN void load_transposed(const S* p, int64_t row_step, Vec<S> (&v)[Vec<S>::kLanes]) {
  constexpr int n = Vec<S>::kLanes, block = 16 / sizeof(S);
  // Squares of 16 bytes a side: those of rows m, m + block ... come into one vector as they are loaded, which leaves only
  // shuffles within 16 bytes.
#pragma GCC unroll 8
  for (int k = 0; k < n; k += block) {
    Vec<S> w[block];
#pragma GCC unroll 4
    for (int m = 0; m < block; ++m) w[m] = load_parts(p + m * row_step + k, block * row_step);
    if constexpr (block == 2) {
      v[k] = unpack<1, false>(w[0], w[1]);
      v[k + 1] = unpack<1, true>(w[0], w[1]);
    } else {
      const Vec<S> even_low = unpack<1, false>(w[0], w[1]), even_high = unpack<1, true>(w[0], w[1]);
      const Vec<S> odd_low = unpack<1, false>(w[2], w[3]), odd_high = unpack<1, true>(w[2], w[3]);
      v[k] = unpack<2, false>(even_low, odd_low);
      v[k + 1] = unpack<2, true>(even_low, odd_low);
      v[k + 2] = unpack<2, false>(even_high, odd_high);
      v[k + 3] = unpack<2, true>(even_high, odd_high);
    }
  }
}

// dst[k * dst_row + i] = src[i * src_row + k] for i < kLanes and k < columns.
template <class S>
GRU_EXT_FN void transpose_rows(const S* src, int64_t src_row, int64_t columns, S* dst, int64_t dst_row) {
  constexpr int n = Vec<S>::kLanes;
  Vec<S> v[n];
  for (int64_t k = 0; k < columns; k += n) {
    const int64_t count = columns - k < n ? columns - k : n;
    if (count == n) {
      load_transposed(src + k, src_row, v);
    } else {
      S square[n * n];
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) store(square + i * n, load(src + i * src_row + k, count));
      load_transposed(square, n, v);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      if (i < count) store(dst + (k + i) * dst_row, v[i]);
  }
}

// dst[m * dst_row + k] = src[m + k * src_row] for m < rows and k < columns: a matrix that lies transposed, row by row.
template <class S>
GRU_EXT_FN void gather_rows(const S* src, int64_t src_row, int64_t rows, int64_t columns, S* dst, int64_t dst_row) {
  // transpose_rows writes whole vectors, so the last columns go one by one.
  constexpr int n = Vec<S>::kLanes;
  const int64_t whole = columns / n * n;
  for (int64_t k = 0; k < whole; k += n) transpose_rows(src + k * src_row, src_row, rows, dst + k, dst_row);
  for (int64_t k = whole; k < columns; ++k)
    for (int64_t m = 0; m < rows; ++m) dst[m * dst_row + k] = src[m + k * src_row];
}

// dst[k * width + j] = src[k * src_row + j] for j < count, zero for count <= j < width.
template <int width, class T>
GRU_EXT_FN void copy_panel(const T* src, int64_t src_row, int64_t rows, int64_t count, Compute<T>* dst) {
  using V = Vec<Compute<T>>;
  for (int64_t k = 0; k < rows; ++k)
#pragma GCC unroll 4
    for (int j = 0; j < width; j += V::kLanes)
      store(dst + k * width + j, j < count ? load_upto(src + k * src_row + j, count - j) : V::zero());
}

// dst[r * columns + k] = src[r * src_row + k], widened.
template <class T>
GRU_EXT_FN void copy_rows(const T* src, int64_t src_row, int64_t rows, int64_t columns, Compute<T>* dst) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; k += n)
      store_upto(dst + r * columns + k, load_upto(src + r * src_row + k, columns - k), columns - k);
}
