// The forward step of a small batch: each sum is a dot product of a row of the weights, as it lies in memory, with a row of x
// or h. A vector runs along the contraction; the weights are read once for each tile of rows, and nothing is copied.
#pragma once

constexpr int64_t kMaxDotRows = 48;

// Up to this many rows dots are quicker than panels. They widen numbers again for each tile of rows and add up lanes for each
// result, which panels do not, but copy no weights. Measured with AVX2 and with SSE2, which has no fused multiply-add; for the
// other levels, chosen in between.
template <class T>
constexpr int64_t kDotsUpTo =
#if GRU_EXT_INTRINSICS == 256
    sizeof(T) == 4   ? 48
    : sizeof(T) == 2 ? 8
                     : 6;
#elif GRU_EXT_VEC_BYTES == 16 && !defined(__aarch64__)
    6;
#else
    sizeof(T) == 4 ? 19 : 8;
#endif

// A tile is kDotRows rows of x or h times kDotUnits rows of the weights: its sums, a column of weights and a vector of x fit 16
// registers on SSE and AVX2, 32 on AVX-512 and NEON.
constexpr int kDotUnits = 4;
#if GRU_EXT_VEC_BYTES == 64 || defined(__aarch64__)
constexpr int kDotRows = 6;
#else
constexpr int kDotRows = 3;
#endif

// Units whose sums are collected before their gates are computed: a whole number of vectors at every level.
constexpr int kGatedUnits = 16;

// The sums of one gate for each row and unit, without biases.
template <class S>
using GateSums = S[kMaxDotRows][kGatedUnits];

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

// The dot products of R rows with U rows of weights.
template <int R, int U, class T>
struct DotTile {
  using S = Compute<T>;
  Vec<S> acc[R][U] = {};

  GRU_EXT_FN void add(int64_t K, const T* x, int64_t x_row, const T* w) {
    constexpr int n = Vec<S>::kLanes;
    int64_t k = 0;
    for (; k + n <= K; k += n) add_vector(x + k, x_row, w + k, K, WholeVector{});
    if (k < K) add_vector(x + k, x_row, w + k, K, FirstLanes{K - k});
  }

  // To sums[r * row + u].
  GRU_EXT_FN void store_sums(S* sums, int64_t row) const {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      if constexpr (U == kDotUnits) {
        sums_of_four(acc[r], sums + r * row);
      } else {
        // A unit by itself is added up as it would be among others.
        static_assert(U == 1);
        const Vec<S> alone[kDotUnits] = {acc[r][0]};
        S sum[kDotUnits];
        sums_of_four(alone, sum);
        sums[r * row] = sum[0];
      }
    }
  }

 private:
  template <class Load>
  GRU_EXT_FN void add_vector(const T* x, int64_t x_row, const T* w, int64_t w_row, Load load_vector) {
    Vec<S> column[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) column[u] = load_vector(w + u * w_row);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec<S> row = load_vector(x + r * x_row);
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) acc[r][u] = fma(column[u], row, acc[r][u]);
    }
  }
};

// All rows with the weights of gate g of U units from j on, to units u ... of the buffers. Inlined into one function for all
// tiles: calling one per tile costs a tenth of a small cell's time.
template <int U, class T>
GRU_EXT_FN void sums_of_both(const ForwardArgs<T>& p, int g, int64_t j, int u, GateSums<Compute<T>>& sums) {
  const T *const w_ih = p.w_ih + (g * p.H + j) * p.I, *const w_hh = p.w_hh + (g * p.H + j) * p.H;
  for_row_tiles<kDotRows>(0, p.N, [&](int64_t n, auto rows) __attribute__((always_inline)) {
    DotTile<decltype(rows)::value, U, T> tile;
    tile.add(p.I, p.x + n * p.x_row, p.x_row, w_ih);
    tile.add(p.H, p.h + n * p.h_row, p.h_row, w_hh);
    tile.store_sums(&sums[n][u], kGatedUnits);
  });
}

template <int U, class T>
GRU_EXT_FN void sums_of_one(const T* x, int64_t x_row, int64_t N, int64_t K, const T* w, int u, GateSums<Compute<T>>& sums) {
  for_row_tiles<kDotRows>(0, N, [&](int64_t n, auto rows) __attribute__((always_inline)) {
    DotTile<decltype(rows)::value, U, T> tile;
    tile.add(K, x + n * x_row, x_row, w);
    tile.store_sums(&sums[n][u], kGatedUnits);
  });
}

template <class T>
void forward_dots(const ForwardArgs<T>& p, int64_t begin, int64_t end) {
  using S = Compute<T>;
  constexpr int lanes = Vec<S>::kLanes;
  GateSums<S> r, z, n_input, q;
  for (int64_t block = begin; block < end; block += kGatedUnits) {
    const int units = static_cast<int>(end - block < kGatedUnits ? end - block : kGatedUnits);
    const auto sum_units = [&](int u, auto count) __attribute__((always_inline)) {
      constexpr int U = decltype(count)::value;
      const int64_t j = block + u;
      sums_of_both<U>(p, 0, j, u, r);
      sums_of_both<U>(p, 1, j, u, z);
      sums_of_one<U>(p.x, p.x_row, p.N, p.I, p.w_ih + (2 * p.H + j) * p.I, u, n_input);
      sums_of_one<U>(p.h, p.h_row, p.N, p.H, p.w_hh + (2 * p.H + j) * p.H, u, q);
    };
    int u = 0;
    for (; u + kDotUnits <= units; u += kDotUnits) sum_units(u, Rows<kDotUnits>{});
    for (; u < units; ++u) sum_units(u, Rows<1>{});
    for (u = 0; u < units; u += lanes) {
      const Biases<T> bias(p, block + u, units - u);
      for (int64_t n = 0; n < p.N; ++n)
        finish_step(p, n, block + u, units - u, load(r[n] + u) + bias.r, load(z[n] + u) + bias.z, load(n_input[n] + u) + bias.n,
                    load(q[n] + u) + bias.q);
    }
  }
}
