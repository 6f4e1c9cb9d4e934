// Copies: of operands in the order in which a tile reads them, in the compute type; of results from that type. And their sums.
#pragma once

// A matrix that lies transposed, in panels of R rows: dst[m / R * R * columns + k * R + m % R] = src[m + k * src_row] for
// m < rows and k < columns; zero for the rows that the last panel lacks.
template <int R, class S>
GRU_EXT_FN void copy_row_panels(const S* src, int64_t src_row, int64_t rows, int64_t columns, S* dst) {
  // Columns for all panels before the next: the lines that hold the end of one panel and the start of another are read once.
  constexpr int64_t kColumns = 16;
  for (int64_t begin = 0; begin < columns; begin += kColumns) {
    const int64_t end = begin + kColumns < columns ? begin + kColumns : columns;
    for (int64_t m = 0; m < rows; m += R) {
      const S* from = src + begin * src_row + m;
      S* to = dst + m * columns + begin * R;
      for (int64_t k = begin; k < end; ++k, from += src_row, to += R) {
        if (m + R <= rows) {
          __builtin_memcpy(to, from, R * sizeof(S));
        } else {
          for (int64_t i = 0; i < R; ++i) to[i] = m + i < rows ? from[i] : 0;
        }
      }
    }
  }
}

// dst[k * width + j] = src[k * src_row + j] for j < count, zero for count <= j < width. ask: for the panel that follows.
template <int width, class T>
GRU_EXT_FN void copy_panel(const T* src, int64_t src_row, int64_t rows, int64_t count, bool ask, Compute<T>* dst) {
  using V = Vec<Compute<T>>;
  for (int64_t k = 0; k < rows; ++k)
#pragma GCC unroll 4
    for (int j = 0; j < width; j += V::kLanes) {
      if (ask) ask_for(src + k * src_row + width + j);
      store(dst + k * width + j, j < count ? load_upto(src + k * src_row + j, count - j) : V::zero());
    }
}

// Two whole panels that lie side by side, one behind the other. ask: for both that follow.
template <int width, class T>
GRU_EXT_FN void copy_two_panels(const T* src, int64_t src_row, int64_t rows, bool ask, Compute<T>* dst) {
  using V = Vec<Compute<T>>;
  for (int64_t k = 0; k < rows; ++k)
#pragma GCC unroll 8
    for (int j = 0; j < 2 * width; j += V::kLanes) {
      if (ask) ask_for(src + k * src_row + 2 * width + j);
      store(dst + (j / width * rows + k) * width + j % width, load(src + k * src_row + j));
    }
}

// dst[r * columns + k] = src[r * src_row + k], widened.
template <class T>
GRU_EXT_FN void copy_rows(const T* src, int64_t src_row, int64_t rows, int64_t columns, Compute<T>* dst) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; k += n)
      store_upto(dst + r * columns + k, load_upto(src + r * src_row + k, columns - k), columns - k);
}

template <class T>
void round(const Compute<T>* from, int64_t count, T* to) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  for (int64_t i = 0; i < count; i += n) store_upto(to + i, load_upto(from + i, count - i), count - i);
}

template <class S>
void add(const S* from, int64_t count, S* to) {
  constexpr int n = Vec<S>::kLanes;
  for (int64_t i = 0; i < count; i += n)
    store_upto(to + i, load_upto(to + i, count - i) + load_upto(from + i, count - i), count - i);
}
