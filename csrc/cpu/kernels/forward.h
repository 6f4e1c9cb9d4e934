// The forward step: the sums of all gates (dots.h), and the gates while the sums are at hand. The weights are read once for
// each pass of rows.
//
// Every sum is taken in the same order, so a row of the batch becomes the same bits whatever else is in the batch.
#pragma once

// What a block is computed from; E is the type in memory, or its compute type.
template <class E>
struct BlockOperands {
  const E *x, *h;  // the block's rows, x_row and h_row apart
  int64_t x_row, h_row;
  const E *w_ih[3], *w_hh[3];  // the block's units of each gate, rows I and H apart
  bool asks;                   // for weights that follow, while the first rows meet these
};

// The tiles that sums are made in: of so many rows at the most, or for a pass of just so many. ask: they do, for weights that
// follow (dots.h).
template <int tile_rows, int tile_units, bool asking = false>
struct Tiles {
  static constexpr int rows = tile_rows, units = tile_units;
  static constexpr bool ask = asking;

  template <class F>
  GRU_EXT_FN static void for_rows(int64_t begin, int64_t end, const F& f) {
    for_row_tiles<rows>(begin, end, f);
  }
};
template <int tile_rows, int tile_units, bool asking = false>
struct TilesOfPass : Tiles<tile_rows, tile_units, asking> {
  template <class F>
  GRU_EXT_FN static void for_rows(int64_t begin, int64_t, const F& f) {
    f(begin, Rows<tile_rows>{});
  }
};

// The sums of rows [begin, end) with the weights of gate g of so many units from u on; for n, input and state apart. Inlined
// into one function for all tiles: calling one per tile costs a tenth of a small cell's time.
template <class Kind, class T, class E>
GRU_EXT_FN void sums_of_both(const ForwardArgs<T>& p, const BlockOperands<E>& o, int64_t begin, int64_t end, int g, int u,
                             GateSums<Compute<T>>& sums) {
  Kind::for_rows(begin, end, [&](int64_t n, auto rows) __attribute__((always_inline)) {
    DotTile<decltype(rows)::value, Kind::units, E> tile;
    tile.template add<Kind::ask>(p.I, o.x + n * o.x_row, o.x_row, o.w_ih[g] + u * p.I, p.I);
    tile.template add<Kind::ask>(p.H, o.h + n * o.h_row, o.h_row, o.w_hh[g] + u * p.H, p.H);
    tile.store_sums(&sums[n][u], kGatedUnits<Compute<T>>);
  });
}

template <class Kind, class E, class S>
GRU_EXT_FN void sums_of_one(const E* x, int64_t x_row, int64_t begin, int64_t end, int64_t K, const E* w, int64_t w_row, int u,
                            GateSums<S>& sums) {
  Kind::for_rows(begin, end, [&](int64_t n, auto rows) __attribute__((always_inline)) {
    DotTile<decltype(rows)::value, Kind::units, E> tile;
    tile.template add<Kind::ask>(K, x + n * x_row, x_row, w + u * w_row, w_row);
    tile.store_sums(&sums[n][u], kGatedUnits<S>);
  });
}

// `units` units from j on, for the rows of a batch of at most kGatedRows.
//
// Long rows are multiplied part by part, first those of x and then those of h, each for all rows of the batch, so that what all
// units of a block meet stays in the nearer caches. The sums are those of the parts added; of a single row as well, because a
// row is the same in any batch.
//
// A function of its own for a batch of exactly so many rows, few (dots.h); with exact_rows = 0 for any other.
template <bool long_rows, int exact_rows, class T, class E>
void forward_block(const ForwardArgs<T>& p, const BlockOperands<E>& o, int64_t j, int units) {
  using S = Compute<T>;
  BlockSums<S> s;
  GateSums<S> of_part[3];
  bool of_h = false, more = true;
  for (int64_t k = 0; more;) {
    // The part that begins at k, of a row of x or of h.
    const int64_t row = of_h ? p.H : p.I, left = row - k, part = part_of_row<T>(row);
    const int64_t K = !long_rows ? p.I + p.H : left < part ? left : part, row_bytes = K * static_cast<int64_t>(sizeof(E));
    const int64_t pass = rows_of_a_part(p.N, kPassBytes / (row_bytes > 0 ? row_bytes : 1));
    for (int64_t begin = 0; begin < p.N; begin += pass) {
      const int64_t end = begin + pass < p.N ? begin + pass : p.N;
      const auto sum_units = [&](int u, auto kind) __attribute__((always_inline)) {
        using Kind = decltype(kind);
        if constexpr (long_rows) {
          const E *const a = of_h ? o.h : o.x, *const *const w = of_h ? o.w_hh : o.w_ih;
          for (int g = 0; g < 3; ++g)
            sums_of_one<Kind>(a + k, of_h ? o.h_row : o.x_row, begin, end, K, w[g] + k, row, u, of_part[g]);
        } else {
          for (int g = 0; g < 2; ++g) sums_of_both<Kind>(p, o, begin, end, g, u, s.r_z[g]);
          sums_of_one<Kind>(o.x, o.x_row, begin, end, p.I, o.w_ih[2], p.I, u, s.n_input);
          sums_of_one<Kind>(o.h, o.h_row, begin, end, p.H, o.w_hh[2], p.H, u, s.q);
        }
      };
      int u = 0;
      if constexpr (exact_rows > 0) {
        if constexpr (kAsksForBatch<T, E>)
          if (o.asks)
            for (; u + kDotUnits <= units; u += kDotUnits) sum_units(u, TilesOfPass<exact_rows, kDotUnits, /*ask=*/true>{});
        for (; u + kFewRowsUnits <= units; u += kFewRowsUnits) sum_units(u, TilesOfPass<exact_rows, kFewRowsUnits>{});
        for (; u + kDotUnits <= units; u += kDotUnits) sum_units(u, TilesOfPass<exact_rows, kDotUnits>{});
        for (; u < units; ++u) sum_units(u, TilesOfPass<exact_rows, 1>{});
        continue;
      }
      if (p.N == 1 && o.asks)
        for (; u + kFarUnits <= units; u += kFarUnits) sum_units(u, Tiles<1, kFarUnits, true>{});
      else if (p.N == 1)
        for (; u + kSingleRowUnits<E> <= units; u += kSingleRowUnits<E>) sum_units(u, Tiles<1, kSingleRowUnits<E>>{});
      else if constexpr (kAsksForBatch<T, E>)
        if (o.asks && begin == 0)
          for (; u + kDotUnits <= units; u += kDotUnits) sum_units(u, Tiles<kDotRows, kDotUnits, /*ask=*/true>{});
      for (; u + kDotUnits <= units; u += kDotUnits) sum_units(u, Tiles<kDotRows, kDotUnits>{});
      for (; u < units; ++u) sum_units(u, Tiles<kDotRows, 1>{});
    }
    more = false;
    if constexpr (long_rows) {
      GateSums<S>* const to[] = {&s.r_z[0], &s.r_z[1], of_h ? &s.q : &s.n_input};
      for (int g = 0; g < 3; ++g) {
        const bool first = k == 0 && (g == 2 || !of_h);
        for (int64_t n = 0; n < p.N; ++n)
          for (int u = 0; u < units; ++u) (*to[g])[n][u] = of_part[g][n][u] + (first ? 0 : (*to[g])[n][u]);
      }
      k += K;
      more = k < row || !of_h;
      if (k == row) {
        of_h = true;
        k = 0;
      }
    }
  }
  finish_block(p, j, units, s);
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
  const bool asks = !scratch && asks_for_weights<E>(p.N, I, H);
  const int most_units = units_of_block<E>(p.N, I + H);
  const int64_t block = rows_of_a_part(p.N, kGatedRows), last = begin + (end - begin - 1) / most_units * most_units;
  for (int64_t from_begin = begin; from_begin < end; from_begin += most_units) {
    const int64_t j = p.from_end ? begin + last - from_begin : from_begin;
    const int units = static_cast<int>(end - j < most_units ? end - j : most_units);
    BlockOperands<E> o = {};
    E* free = scratch;
    for (int g = 0; g < 3; ++g) {
      int64_t w_ih_row = I, w_hh_row = H;
      o.w_ih[g] = rows_as(p.w_ih + (g * H + j) * I, w_ih_row, units, I, free);
      o.w_hh[g] = rows_as(p.w_hh + (g * H + j) * H, w_hh_row, units, H, free + most_units * I);
      if (scratch) free += most_units * (I + H);
    }
    for (int64_t n = 0; n < p.N; n += block) {
      const ForwardArgs<T> rows = p.rows(n, n + block < p.N ? n + block : p.N);
      o.asks = asks && n == 0;
      o.x_row = p.x_row;
      o.h_row = p.h_row;
      o.x = rows_as(rows.x, o.x_row, rows.N, I, free);
      o.h = rows_as(rows.h, o.h_row, rows.N, H, free + kGatedRows * I);
      const auto compute = [&](auto exact) {
        if (is_long<T>(I, H))
          forward_block</*long_rows=*/true, decltype(exact)::value>(rows, o, j, units);
        else
          forward_block</*long_rows=*/false, decltype(exact)::value>(rows, o, j, units);
      };
      constexpr bool pieces = kFewRowsInPieces && sizeof(E) == sizeof(T);  // widened are the rows of large batches
      if (pieces && rows.N == 2)
        compute(Rows<pieces ? 2 : 0>{});
      else if (pieces && rows.N == 3)
        compute(Rows<pieces ? 3 : 0>{});
      else
        compute(Rows<0>{});
    }
  }
}

// Where more than one tile would widen 16-bit numbers again, they are widened once for each block.
template <class T>
GRU_EXT_FN bool widens(int64_t N) {
  return Numbers<T>::widened && N > kDotRows;
}

template <class T>
int64_t forward_scratch(int64_t N, int64_t I, int64_t H) {
  if constexpr (kHasPanels)
    if (in_panels<T>(N, I, H)) return forward_panels_scratch<T>(N, I, H);
  return widens<T>(N) ? (3 * kGatedUnits<Compute<T>> + kGatedRows) * (I + H) : 0;
}

template <class T>
void forward(const ForwardArgs<T>& p, int64_t begin, int64_t end, Compute<T>* scratch) {
  if constexpr (kHasPanels)
    if (in_panels<T>(p.N, p.I, p.H)) return forward_panels(p, begin, end, scratch);
  const int64_t strip_rows = rows_of_strip<T>(p.N, p.I, p.H);
  bool from_end = p.from_end;
  for (int64_t n = 0; n < p.N; n += strip_rows, from_end = !from_end) {
    ForwardArgs<T> strip = p.rows(n, n + strip_rows < p.N ? n + strip_rows : p.N);
    strip.from_end = from_end;
    if constexpr (Numbers<T>::widened) {
      // The scratch is for a batch of this size: a rest of fewer rows is widened as the others are.
      if (widens<T>(p.N)) {
        forward_strip(strip, begin, end, scratch);
        continue;
      }
    }
    forward_strip(strip, begin, end, static_cast<T*>(nullptr));
  }
}
