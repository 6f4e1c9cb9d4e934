// Products of rows of activations with a packed matrix, in register tiles. Each sum runs over the contraction in order, so it
// has the same bits whatever tile it is in: a row of a batch equals the same row by itself.
#pragma once

constexpr int kTileRows = 4;

// How far ahead a single row asks for weights that come from the third-level cache, in bytes: a page ends every 4096, and the
// processor's own prefetchers with it.
constexpr int64_t kAhead = 3072;

template <class W>
struct Activations {
  typename W::Activation* words;  // [rows][row]
  int64_t row;                    // words of a row
  RowScale scale[kBlockRows];

  GRU_EXT_FN Activations(int64_t rows, const float* a, int64_t a_row, int64_t K, void* memory)
      : words(static_cast<typename W::Activation*>(memory)), row((K + W::kPerWord - 1) / W::kPerWord) {
    for (int64_t n = 0; n < rows; ++n) scale[n] = W::prepare(a + n * a_row, K, words + n * row);
  }
};

// Where the product of a group of vectors goes on: its words begin at w, and its first vector is the j-th of the matrix.
struct Group {
  const uint32_t* w;
  int64_t vectors, j;
};

// Words of a row of activations that all tiles of rows meet before the next: their weights stay in the first-level cache.
constexpr int64_t kBlockWords = 64;

// R rows from n on, and C vectors of a group from c0 on, for the words from k to end. Sums that are not finished wait in
// `sums`. Prefetch: a single row asks for weights early.
template <class W, int R, int C, bool Prefetch = false>
GRU_EXT_FN void product_tile(const Matrix& m, const Activations<W>& a, int64_t n, const Group& group, int64_t c0, int64_t k,
                             int64_t end, typename W::Sum (&sums)[R][C], float* to) {
  constexpr int lanes = VecF::kLanes;
  const int64_t column = (group.j + c0) * lanes;
  typename W::Sum sum[R][C];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
    for (int c = 0; c < C; ++c) sum[r][c] = k == 0 ? W::start() : sums[r][c];

  const typename W::Activation* word = a.words + n * a.row;
  const uint32_t* w = group.w + (k * group.vectors + c0) * lanes;
  for (; k < end; ++k, w += group.vectors * lanes) {
    if constexpr (R == 1) {
      if constexpr (Prefetch) {
#pragma GCC unroll 12
        for (int line = 0; line < C * GRU_EXT_VEC_BYTES; line += 64)
          __builtin_prefetch(reinterpret_cast<const char*>(w) + line + kAhead);
      }
      // The weights go by in the order in which they lie in memory.
      typename W::Factor factor[W::kParts];
#pragma GCC unroll 2
      for (int part = 0; part < W::kParts; ++part) factor[part] = W::broadcast(word + k, part);
#pragma GCC unroll 12
      for (int c = 0; c < C; ++c)
#pragma GCC unroll 2
        for (int part = 0; part < W::kParts; ++part)
          sum[0][c] = W::add_product(W::unpack(w + c * lanes, part), factor[part], sum[0][c]);
      continue;
    }
    // The weights stay in registers, and one row's factor at a time joins them.
#pragma GCC unroll 2
    for (int part = 0; part < W::kParts; ++part) {
      typename W::Weights weights[C];
#pragma GCC unroll 12
      for (int c = 0; c < C; ++c) weights[c] = W::unpack(w + c * lanes, part);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const typename W::Factor factor = W::broadcast(word + r * a.row + k, part);
#pragma GCC unroll 12
        for (int c = 0; c < C; ++c) sum[r][c] = W::add_product(weights[c], factor, sum[r][c]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
    for (int c = 0; c < C; ++c) {
      if (end < a.row)
        sums[r][c] = sum[r][c];
      else
        store(to + (n + r) * m.J + column + c * lanes, W::finish(sum[r][c], m.scale + column + c * lanes, a.scale[n + r]));
    }
}

// Rows [begin, end), in tiles of R, and C vectors of a group from c0 on.
template <class W, int R, int C>
GRU_EXT_FN void product_columns(const Matrix& m, const Activations<W>& a, int64_t begin, int64_t end, const Group& group,
                                int64_t c0, float* to) {
  // There is one tile of fewer rows at most.
  constexpr bool many = R == kTileRows;
  typename W::Sum sums[many ? kBlockRows / R : 1][R][C];
  const int64_t block = many ? kBlockWords : a.row;
  for (int64_t k = 0; k < a.row; k += block)
    for (int64_t n = begin; n < end; n += R)
      product_tile<W, R, C>(m, a, n, group, c0, k, a.row - k < block ? a.row : k + block, sums[(n - begin) / R], to);
}

// Rows [begin, end), in tiles of R, and a whole group: as many vectors at a time as registers allow, then fewer.
template <class W, int R, int C>
GRU_EXT_FN void product_group(const Matrix& m, const Activations<W>& a, int64_t begin, int64_t end, const Group& group,
                              int64_t c0, float* to) {
  for (; c0 + C <= group.vectors; c0 += C) product_columns<W, R, C>(m, a, begin, end, group, c0, to);
  if constexpr (C > 3)
    product_group<W, R, C / 2>(m, a, begin, end, group, c0, to);
  else if constexpr (C > 1)
    product_group<W, R, 1>(m, a, begin, end, group, c0, to);
}

// Calls f with each group of the matrix, the first or the last of them first.
template <class F>
GRU_EXT_FN void for_groups(const Matrix& m, int64_t words, bool from_end, const F& f) {
  const int64_t vectors = m.J / VecF::kLanes, last = (vectors - 1) / kGroup * kGroup;
  for (int64_t from_begin = 0; from_begin <= last; from_begin += kGroup) {
    const int64_t j = from_end ? last - from_begin : from_begin;
    f(Group{m.w + words * j * VecF::kLanes, vectors - j < kGroup ? vectors - j : kGroup, j});
  }
}

// In tiles of rows; see product().
template <class W>
void product_of_rows(const Matrix& m, int64_t rows, const float* numbers, int64_t number_row, void* memory, float* to,
                     bool from_end) {
  const Activations<W> a(rows, numbers, number_row, m.K, memory);
  const int64_t in_tiles = rows / kTileRows * kTileRows, in_pairs = rows / 2 * 2;
  for_groups(m, a.row, from_end, [&](const Group& group) __attribute__((always_inline)) {
    if (in_tiles > 0) product_group<W, kTileRows, W::kSums / kTileRows>(m, a, 0, in_tiles, group, 0, to);
    if (in_tiles < in_pairs) product_group<W, 2, W::kSums / 2>(m, a, in_tiles, in_pairs, group, 0, to);
    if (in_pairs < rows) product_group<W, 1, kGroup>(m, a, in_pairs, rows, group, 0, to);
  });
}

// A single row with weights that come from the third-level cache.
template <class W>
void product_of_far(const Matrix& m, const float* numbers, void* memory, float* to, bool from_end) {
  const Activations<W> a(1, numbers, 0, m.K, memory);
  typename W::Sum none[1][kGroup];
  for_groups(m, a.row, from_end, [&](const Group& group) __attribute__((always_inline)) {
    if (group.vectors == kGroup)
      product_tile<W, 1, kGroup, /*Prefetch=*/true>(m, a, 0, group, 0, 0, a.row, none, to);
    else
      product_group<W, 1, kGroup / 2>(m, a, 0, 1, group, 0, to);
  });
}

template <class W>
void product(const Matrix& m, int64_t rows, const float* numbers, int64_t number_row, void* memory, float* to, bool from_end) {
  // Where a word takes two products, instructions are the bound and not the weights' way.
  if constexpr (W::kParts == 1)
    if (rows == 1 && m.far) return product_of_far<W>(m, numbers, memory, to, from_end);
  product_of_rows<W>(m, rows, numbers, number_row, memory, to, from_end);
}
