// The forward step of a small batch: each sum is a dot product of a row of the weights, as it lies in memory, with a row of x
// or h. A vector runs along the contraction; the weights are read once.
#pragma once

constexpr int64_t kMaxDotRows = 32;

// Units whose sums are collected before their gates are computed: a whole number of vectors at every level.
constexpr int kDotUnits = 16;

// r | z | n_input | q of each row and unit, without biases.
template <class S>
struct DotSums {
  S r[kMaxDotRows][kDotUnits], z[kMaxDotRows][kDotUnits], n[kMaxDotRows][kDotUnits], q[kMaxDotRows][kDotUnits];
};

// How a vector of the contraction is read: whole, or its first lanes at the end of a row.
struct WholeVector {
  template <class T>
  GRU_EXT_FN Vec<Compute<T>> operator()(const T* p) const {
    return load(p);
  }
};
struct FirstLanes {
  int64_t count;
  template <class T>
  GRU_EXT_FN Vec<Compute<T>> operator()(const T* p) const {
    return load(p, count);
  }
};

// acc[r][u][g] += w[g * gate + u * K ...] * x[r * x_row ...], one vector along the contraction.
template <int R, int U, class T, class Load>
GRU_EXT_FN void dot_step(const T* w, int64_t gate, int64_t K, const T* x, int64_t x_row, Load load_vector,
                         Vec<Compute<T>> (&acc)[R][U][3]) {
  Vec<Compute<T>> row[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) row[r] = load_vector(x + r * x_row);
#pragma GCC unroll 4
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 3
    for (int g = 0; g < 3; ++g) {
      const auto weight = load_vector(w + g * gate + u * K);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[r][u][g] = fma(weight, row[r], acc[r][u][g]);
    }
}

// The dot products of R rows of x [., K] with the r, z and n rows of U units of w [3H, K], which start at w and lie `gate`
// numbers apart from gate to gate.
template <int R, int U, class T>
GRU_EXT_FN void dot_tile(const T* w, int64_t gate, int64_t K, const T* x, int64_t x_row, Vec<Compute<T>> (&acc)[R][U][3]) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  int64_t k = 0;
  for (; k + n <= K; k += n) dot_step(w + k, gate, K, x + k, x_row, WholeVector{}, acc);
  if (k < K) dot_step(w + k, gate, K, x + k, x_row, FirstLanes{K - k}, acc);
}

// Rows n ... n + R - 1 and units j ... j + U - 1, to units u0 ... of the buffer.
template <int R, int U, class T>
GRU_EXT_FN void unit_sums(const ForwardArgs<T>& p, int64_t n, int64_t j, DotSums<Compute<T>>& out, int u0) {
  Vec<Compute<T>> acc[R][U][3] = {};
  dot_tile(p.w_ih + j * p.I, p.H * p.I, p.I, p.x + n * p.x_row, p.x_row, acc);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      out.n[n + r][u0 + u] = sum(acc[r][u][2]);
      acc[r][u][2] = Vec<Compute<T>>::zero();
    }
  dot_tile(p.w_hh + j * p.H, p.H * p.H, p.H, p.h + n * p.h_row, p.h_row, acc);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      out.r[n + r][u0 + u] = sum(acc[r][u][0]);
      out.z[n + r][u0 + u] = sum(acc[r][u][1]);
      out.q[n + r][u0 + u] = sum(acc[r][u][2]);
    }
}

// All rows, `count` units from unit j. Twelve accumulators at a time: a single row takes four units, two rows take two.
template <class T>
void dot_sums(const ForwardArgs<T>& p, int64_t j, int count, DotSums<Compute<T>>& out) {
  int u = 0;
  if (p.N == 1)
    for (; u + 4 <= count; u += 4) unit_sums<1, 4>(p, 0, j + u, out, u);
  if (p.N == 2)
    for (; u + 2 <= count; u += 2) unit_sums<2, 2>(p, 0, j + u, out, u);
  for (; u < count; ++u)
    for_row_tiles<4>(0, p.N, [&](int64_t n, auto rows) { unit_sums<decltype(rows)::value, 1>(p, n, j + u, out, u); });
}

template <class T>
void forward_dots(const ForwardArgs<T>& p, int64_t begin, int64_t end) {
  constexpr int lanes = Vec<Compute<T>>::kLanes;
  DotSums<Compute<T>> sums;
  for (int64_t block = begin; block < end; block += kDotUnits) {
    const int units = static_cast<int>(end - block < kDotUnits ? end - block : kDotUnits);
    dot_sums(p, block, units, sums);
    for (int u = 0; u < units; u += lanes) {
      const Biases<T> bias(p, block + u, units - u);
      for (int64_t n = 0; n < p.N; ++n)
        finish_step(p, n, block + u, units - u, load(sums.r[n] + u) + bias.r, load(sums.z[n] + u) + bias.z,
                    load(sums.n[n] + u) + bias.n, load(sums.q[n] + u) + bias.q);
    }
  }
}
