// The forward step. Each sum is a dot product of a row of the weights, as it lies in memory, with a row of x or h: a vector
// runs along the contraction. The weights are read once for each tile of rows; the gates are computed while the sums are at
// hand.
//
// Every sum is taken in the same order, so a row of the batch becomes the same bits whatever else is in the batch.
#pragma once

// A tile is kDotRows rows of x or h times kDotUnits rows of the weights: its sums, a column of weights and a vector of x fit 16
// registers on AVX2, 32 on AVX-512 and NEON. On SSE they do not, but reading the weights for two rows at a time takes 14 %
// longer.
constexpr int kDotUnits = 4;
#if GRU_EXT_VEC_BYTES == 64 || defined(__aarch64__)
constexpr int kDotRows = 6;
#else
constexpr int kDotRows = 3;
#endif

// A block of the output, of which the sums are collected before the gates are computed: a whole number of vectors of units at
// every level, and as many rows as leave the weights of those units in the nearer caches. Measured with AVX2: with 6, 12 or 24
// rows a large batch takes up to 10 % longer.
constexpr int kGatedUnits = 16;
constexpr int64_t kGatedRows = 48;
// Rows that all units are computed for before the next come, so that the farther caches hold them meanwhile.
constexpr int64_t kStripRows = 10 * kGatedRows;

// Weights of more bytes come from memory, and the processor's own prefetchers stop at the end of each row, where a page ends:
// those of a single row are asked for early. Measured with AVX2 and 32 MB of third-level cache: 20 % faster at I = H = 1024 and
// 1280, 5 % at 896; in the caches, at 768 and less, it would be 5 to 18 % slower.
constexpr int64_t kFarWeights = 16 << 20;

// The sums of one gate for each row and unit of a block, without biases.
template <class S>
using GateSums = S[kGatedRows][kGatedUnits];

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

  // far: asks for the rows of the next tile while it reads those of this one.
  template <bool far>
  GRU_EXT_FN void add(int64_t K, const T* x, int64_t x_row, const T* w) {
    constexpr int n = Vec<S>::kLanes;
    int64_t k = 0;
    if constexpr (far) {
      constexpr int line = 64 / sizeof(T) > n ? 64 / sizeof(T) : n;
      for (; k + line <= K; k += line) {
#pragma GCC unroll 4
        for (int u = 0; u < U; ++u) __builtin_prefetch(w + k + (U + u) * K, /*write=*/0, /*to the second-level cache*/ 2);
#pragma GCC unroll 4
        for (int i = 0; i < line; i += n) add_vector(x + k + i, x_row, w + k + i, K, WholeVector{});
      }
    }
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

// What a block is computed from; E is the type in memory, or its compute type.
template <class E>
struct BlockOperands {
  const E *x, *h;  // the block's rows, x_row and h_row apart
  int64_t x_row, h_row;
  const E *w_ih[3], *w_hh[3];  // the block's units of each gate, rows I and H apart
};

// Which tiles the sums of U units are made in. From memory only single rows are told apart.
template <int U, bool from_memory>
struct Tiles {
  static constexpr int units = U, rows = from_memory ? 1 : kDotRows;
  static constexpr bool far = from_memory;
};

// All rows with the weights of gate g of U units from u on. Inlined into one function for all tiles: calling one per tile costs
// a tenth of a small cell's time.
template <class Kind, class T, class E>
GRU_EXT_FN void sums_of_both(const ForwardArgs<T>& p, const BlockOperands<E>& o, int g, int u, GateSums<Compute<T>>& sums) {
  for_row_tiles<Kind::rows>(0, p.N, [&](int64_t n, auto rows) __attribute__((always_inline)) {
    DotTile<decltype(rows)::value, Kind::units, E> tile;
    tile.template add<Kind::far>(p.I, o.x + n * o.x_row, o.x_row, o.w_ih[g] + u * p.I);
    tile.template add<Kind::far>(p.H, o.h + n * o.h_row, o.h_row, o.w_hh[g] + u * p.H);
    tile.store_sums(&sums[n][u], kGatedUnits);
  });
}

template <class Kind, class E, class S>
GRU_EXT_FN void sums_of_one(const E* x, int64_t x_row, int64_t N, int64_t K, const E* w, int u, GateSums<S>& sums) {
  for_row_tiles<Kind::rows>(0, N, [&](int64_t n, auto rows) __attribute__((always_inline)) {
    DotTile<decltype(rows)::value, Kind::units, E> tile;
    tile.template add<Kind::far>(K, x + n * x_row, x_row, w + u * K);
    tile.store_sums(&sums[n][u], kGatedUnits);
  });
}

// `units` units from j on, for the rows of a batch of at most kGatedRows.
template <class T, class E>
void forward_block(const ForwardArgs<T>& p, const BlockOperands<E>& o, int64_t j, int units) {
  using S = Compute<T>;
  constexpr int lanes = Vec<S>::kLanes;
  GateSums<S> r_z[2], n_input, q;
  const auto sum_units = [&](int u, auto kind) __attribute__((always_inline)) {
    using Kind = decltype(kind);
    for (int g = 0; g < 2; ++g) sums_of_both<Kind>(p, o, g, u, r_z[g]);
    sums_of_one<Kind>(o.x, o.x_row, p.N, p.I, o.w_ih[2], u, n_input);
    sums_of_one<Kind>(o.h, o.h_row, p.N, p.H, o.w_hh[2], u, q);
  };
  int u = 0;
  if (p.N == 1 && 3 * p.H * (p.I + p.H) * static_cast<int64_t>(sizeof(E)) > kFarWeights)
    for (; u + kDotUnits <= units; u += kDotUnits) sum_units(u, Tiles<kDotUnits, true>{});
  for (; u + kDotUnits <= units; u += kDotUnits) sum_units(u, Tiles<kDotUnits, false>{});
  for (; u < units; ++u) sum_units(u, Tiles<1, false>{});
  // In two passes: from r to the next state each instruction waits for the one before it, and two rows' worth of them is all
  // that a processor looks ahead. While r and z come first, it has several rows at hand in either pass.
  for (u = 0; u < units; u += lanes) {
    const Biases<T> bias(p, j + u, units - u);
    for (int64_t n = 0; n < p.N; ++n) {
      S *const r = r_z[0][n] + u, *const z = r_z[1][n] + u;
      store(r, gate(load(r) + bias.r));
      store(z, gate(load(z) + bias.z));
    }
  }
  for (u = 0; u < units; u += lanes) {
    const Biases<T> bias(p, j + u, units - u);
    for (int64_t n = 0; n < p.N; ++n)
      finish_step(p, n, j + u, units - u, load(r_z[0][n] + u), load(r_z[1][n] + u), load(n_input[n] + u) + bias.n,
                  load(q[n] + u) + bias.q);
  }
}

// K columns of `count` rows, `row` apart, as E: in place, or widened into scratch as dense rows.
template <class E, class T>
GRU_EXT_FN const E* rows_as(const T* from, int64_t& row, int64_t count, int64_t K, E* scratch) {
  if constexpr (sizeof(E) == sizeof(T)) {
    return from;
  } else {
    copy_rows(from, row, count, K, scratch);
    row = K;
    return scratch;
  }
}

// Units [begin, end) of all rows.
template <class E, class T>
GRU_EXT_FN void forward_strip(const ForwardArgs<T>& p, int64_t begin, int64_t end, E* scratch) {
  const int64_t I = p.I, H = p.H;
  for (int64_t j = begin; j < end; j += kGatedUnits) {
    const int units = static_cast<int>(end - j < kGatedUnits ? end - j : kGatedUnits);
    BlockOperands<E> o = {};
    E* free = scratch;
    for (int g = 0; g < 3; ++g) {
      int64_t w_ih_row = I, w_hh_row = H;
      o.w_ih[g] = rows_as(p.w_ih + (g * H + j) * I, w_ih_row, units, I, free);
      o.w_hh[g] = rows_as(p.w_hh + (g * H + j) * H, w_hh_row, units, H, free + kGatedUnits * I);
      if (scratch) free += kGatedUnits * (I + H);
    }
    for (int64_t n = 0; n < p.N; n += kGatedRows) {
      const ForwardArgs<T> rows = p.rows(n, n + kGatedRows < p.N ? n + kGatedRows : p.N);
      o.x_row = p.x_row;
      o.h_row = p.h_row;
      o.x = rows_as(rows.x, o.x_row, rows.N, I, free);
      o.h = rows_as(rows.h, o.h_row, rows.N, H, free + kGatedRows * I);
      forward_block(rows, o, j, units);
    }
  }
}

// Where more than one tile would widen 16-bit numbers again, they are widened once for each block.
template <class T>
GRU_EXT_FN bool widens(int64_t N) {
  return sizeof(T) == 2 && N > kDotRows;
}

template <class T>
int64_t forward_scratch(int64_t N, int64_t I, int64_t H) {
  return widens<T>(N) ? (3 * kGatedUnits + kGatedRows) * (I + H) : 0;
}

template <class T>
void forward(const ForwardArgs<T>& p, int64_t begin, int64_t end, Compute<T>* scratch) {
  for (int64_t n = 0; n < p.N; n += kStripRows) {
    const ForwardArgs<T> strip = p.rows(n, n + kStripRows < p.N ? n + kStripRows : p.N);
    if constexpr (sizeof(T) == 2) {
      // The scratch is for a batch of this size: a rest of fewer rows is widened as the others are.
      if (widens<T>(p.N)) {
        forward_strip(strip, begin, end, scratch);
        continue;
      }
    }
    forward_strip(strip, begin, end, static_cast<T*>(nullptr));
  }
}
