// Products of rows of activations with a packed matrix, in register tiles. Each sum runs over the contraction in order, so it
// has the same bits whatever tile it is in: a row of a batch equals the same row by itself.
#pragma once

constexpr int kTileRows = 4;

template <class W>
struct Activations {
  typename W::Activation* words;  // [rows][row]
  int64_t row;                    // words of a row
  float scale[kBlockRows];

  GRU_EXT_FN Activations(int64_t rows, const float* a, int64_t a_row, int64_t K, void* memory)
      : words(static_cast<typename W::Activation*>(memory)), row((K + W::kPerWord - 1) / W::kPerWord) {
    for (int64_t n = 0; n < rows; ++n) scale[n] = W::prepare(a + n * a_row, K, words + n * row);
  }
};

// R rows from n on and C vectors from the j-th on of a group that is `group` vectors wide and whose words begin at w.
template <class W, int R, int C>
GRU_EXT_FN void product_tile(const Matrix& m, const Activations<W>& a, int64_t n, const uint32_t* w, int64_t group, int64_t j,
                             float* to) {
  constexpr int lanes = VecF::kLanes;
  typename W::Sum sum[R][C];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
    for (int c = 0; c < C; ++c) sum[r][c] = W::start(m.offset + (j + c) * lanes);

  const typename W::Activation* word = a.words + n * a.row;
  for (int64_t k = 0; k < a.row; ++k, w += group * lanes) {
    if constexpr (R == 1) {
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
    for (int c = 0; c < C; ++c)
      store(to + (n + r) * m.J + (j + c) * lanes, W::finish(sum[r][c], m.scale + (j + c) * lanes, a.scale[n + r]));
}

// R rows and a whole group from the j-th vector on: as many vectors at a time as registers allow, then fewer.
template <class W, int R, int C>
GRU_EXT_FN void product_group(const Matrix& m, const Activations<W>& a, int64_t n, const uint32_t* w, int64_t group, int64_t j,
                              int64_t done, float* to) {
  for (; done + C <= group; done += C) product_tile<W, R, C>(m, a, n, w + done * VecF::kLanes, group, j + done, to);
  if constexpr (C > 3)
    product_group<W, R, C / 2>(m, a, n, w, group, j, done, to);
  else if constexpr (C > 1)
    product_group<W, R, 1>(m, a, n, w, group, j, done, to);
}

// to [rows, J] = numbers W^T, where the rows of numbers [rows, K] are number_row apart; memory takes the activations.
template <class W>
void product(const Matrix& m, int64_t rows, const float* numbers, int64_t number_row, void* memory, float* to) {
  const Activations<W> a(rows, numbers, number_row, m.K, memory);
  const int64_t vectors = m.J / VecF::kLanes;
  const uint32_t* w = m.w;
  for (int64_t j = 0; j < vectors; j += kGroup) {
    const int64_t group = vectors - j < kGroup ? vectors - j : kGroup;
    int64_t n = 0;
    for (; n + kTileRows <= rows; n += kTileRows)
      product_group<W, kTileRows, W::kSums / kTileRows>(m, a, n, w, group, j, 0, to);
    for (; n + 2 <= rows; n += 2) product_group<W, 2, W::kSums / 2>(m, a, n, w, group, j, 0, to);
    if (n < rows) product_group<W, 1, kGroup>(m, a, n, w, group, j, 0, to);
    w += a.row * group * VecF::kLanes;
  }
}
