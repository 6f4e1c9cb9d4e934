// The forward step of a large batch: the weights of one vector of units, r, z and n side by side, are packed once and then
// meet every row of the batch in register tiles; the gates are computed while the sums are still in registers.
#pragma once

// The rows of one gate matrix [3H, K] that belong to units j ..., as [K][r | z | n].
template <class T>
GRU_EXT_FN void pack_gates(const T* w, int64_t H, int64_t K, int64_t j, int64_t count, Compute<T>* packed) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  for (int g = 0; g < 3; ++g) transpose_rows(w + (g * H + j) * K, K, count, K, packed + g * n, 3 * n);
}

// Rows n ... n + R - 1 of x or h as the tile wants them: in place, or widened into scratch.
template <int R, class T>
GRU_EXT_FN const Compute<T>* tile_rows(const T* x, int64_t K, int64_t& x_row, Compute<T>* scratch) {
  if constexpr (sizeof(T) == 2) {
    copy_rows(x, x_row, R, K, scratch);
    x_row = K;
    return scratch;
  } else {
    return x;
  }
}

template <int R, class T>
GRU_EXT_FN void panel_tile(const ForwardArgs<T>& p, int64_t n, int64_t j, int64_t count, const Biases<T>& bias,
                           const Compute<T>* w_ih, const Compute<T>* w_hh, Compute<T>* scratch) {
  using V = Vec<Compute<T>>;
  constexpr int width = 3 * V::kLanes;
  V acc[R][3], n_input[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    acc[r][0] = bias.r;
    acc[r][1] = bias.z;
    acc[r][2] = bias.n;
  }
  int64_t row = p.x_row;
  const Compute<T>* x = tile_rows<R>(p.x + n * p.x_row, p.I, row, scratch);
  multiply_in_parts(p.I, x, row, 1, w_ih, width, acc);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    n_input[r] = acc[r][2];
    acc[r][2] = bias.q;
  }
  row = p.h_row;
  const Compute<T>* h = tile_rows<R>(p.h + n * p.h_row, p.H, row, scratch);
  multiply_in_parts(p.H, h, row, 1, w_hh, width, acc);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) finish_step(p, n + r, j, count, acc[r][0], acc[r][1], n_input[r], acc[r][2]);
}

template <class T>
void forward_panels(const ForwardArgs<T>& p, int64_t begin, int64_t end, Compute<T>* scratch) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  Compute<T>* const w_ih = scratch;
  Compute<T>* const w_hh = w_ih + 3 * n * p.I;
  Compute<T>* const rows_scratch = w_hh + 3 * n * p.H;
  for (int64_t panel = begin; panel < end; ++panel) {
    const int64_t j = panel * n, count = p.H - j < n ? p.H - j : n;
    pack_gates(p.w_ih, p.H, p.I, j, count, w_ih);
    pack_gates(p.w_hh, p.H, p.H, j, count, w_hh);
    const Biases<T> bias(p, j, count);
    for_row_tiles<kTileRows>(0, p.N, [&](int64_t row, auto rows) {
      panel_tile<decltype(rows)::value>(p, row, j, count, bias, w_ih, w_hh, rows_scratch);
    });
  }
}
