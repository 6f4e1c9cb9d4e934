// Copies of operands in the order in which a tile reads them, in the compute type.
#pragma once

// dst[k * dst_row + i] = src[i * src_row + k] for i < rows (at most one vector) and k < columns; lanes past rows become zero.
template <class T>
GRU_EXT_FN void transpose_rows(const T* src, int64_t src_row, int64_t rows, int64_t columns, Compute<T>* dst, int64_t dst_row) {
  using V = Vec<Compute<T>>;
  constexpr int n = V::kLanes;
  for (int64_t k = 0; k < columns; k += n) {
    const int64_t count = columns - k < n ? columns - k : n;
    V v[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) v[i] = i < rows ? load_upto(src + i * src_row + k, count) : V::zero();
    // A perfect shuffle of the rows, log2(n) times, is a transposition.
#pragma GCC unroll 4
    for (int step = 1; step < n; step *= 2) {
      V w[n];
#pragma GCC unroll 16
      for (int i = 0; i < n / 2; ++i) {
        w[2 * i] = v[i];
        w[2 * i + 1] = v[i + n / 2];
        interleave(w[2 * i], w[2 * i + 1]);
      }
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) v[i] = w[i];
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
  for (int64_t k = 0; k < whole; k += n) transpose_rows(src + k * src_row, src_row, n, rows, dst + k, dst_row);
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
