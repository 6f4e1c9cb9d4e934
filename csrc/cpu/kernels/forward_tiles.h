// The forward step in bfloat16 where the level has registers for whole tiles. Rows of the weights are the rows of a product as
// they lie in memory; x and h, of which there is less, are copied to be its columns. A single row goes the same way, so that a
// row is the same in any batch.
#pragma once

constexpr int kTiledUnits = 2 * kRegisterRows, kTiledRows = 2 * kRegisterPairs;
// Bytes of copies of x and h: rows that all units are computed for before the next.
constexpr int64_t kTiledStripBytes = 512 << 10;

// The first K numbers of `count` rows, and zeros where there are no more: a register. K may be larger than its rows.
GRU_EXT_FN void copy_to_register(const BFloat16* from, int64_t row, int64_t count, int64_t K, PairRow* to) {
  using N = Numbers<BFloat16>;
  for (int i = 0; i < kRegisterRows; ++i)
    to[i] = i >= count ? PairRow{} : K >= N::count ? N::load(from + i * row) : N::load(from + i * row, K);
}

// Lane i of row j for lane j of row i.
GRU_EXT_FN void transpose_register(PairRow* rows) {
  VecF v[kRegisterRows];
#pragma GCC unroll 16
  for (int i = 0; i < kRegisterRows; ++i) v[i] = VecF::from_bits(rows[i]);
  transpose<kRegisterRows / 2>(v);
#pragma GCC unroll 16
  for (int i = 0; i < kRegisterRows; ++i) rows[i] = v[i].bits();
}

// K columns of up to 16 rows, one register a step.
GRU_EXT_FN void copy_to_columns(const BFloat16* from, int64_t row, int64_t count, int64_t K, PairRow* to) {
  for (int64_t k = 0; k < K; k += kRegisterTerms, to += kRegisterRows) {
    copy_to_register(from + k, row, count, K - k, to);
    transpose_register(to);
  }
}

// Rows of one of the weights for a block of units: where they lie, and a copy of what does not fill a register.
struct RowsOfWeights {
  const BFloat16* at;
  int64_t row;
  int64_t whole;        // steps
  const PairRow* rest;  // [kTiledUnits] of each step after them
  int64_t steps;        // in all

  // Takes memory for copies: steps * kTiledUnits rows.
  RowsOfWeights(const BFloat16* w, int64_t units, int64_t K, PairRow* memory)
      : at(w), row(K), whole(K / kRegisterTerms), rest(memory), steps(register_steps(K)) {
    // Registers that the units do not fill would read what is not theirs.
    const bool in_place = units % kRegisterRows == 0;
    if (!in_place) {
      whole = 0;
      for (int64_t s = 0; s < steps; ++s, memory += kTiledUnits) copy(units, s, memory);
    } else if (whole < steps) {
      copy(units, whole, memory);
    }
  }

  // Units from `first` on.
  template <int A, int B>
  GRU_EXT_FN void multiply(TileRegisters& r, int64_t first, const PairRow* x, int64_t x_next) const {
    constexpr int64_t row_bytes = sizeof(PairRow), number = sizeof(BFloat16);
    const BFloat16* w = at + first * row;
    const PairRow* copy = rest + first;
    for (int64_t s = 0; s < whole; ++s, w += kRegisterTerms, x += kRegisterRows)
      multiply_registers<A, B>(r, w, row * number, kRegisterRows * row * number, x, row_bytes, x_next);
    for (int64_t s = whole; s < steps; ++s, copy += kTiledUnits, x += kRegisterRows)
      multiply_registers<A, B>(r, copy, row_bytes, kRegisterRows * row_bytes, x, row_bytes, x_next);
  }

 private:
  void copy(int64_t units, int64_t step, PairRow* to) const {
    const int64_t k = step * kRegisterTerms;
    for (int64_t u = 0; u < units; u += kRegisterRows) copy_to_register(at + u * row + k, row, units - u, row - k, to + u);
  }
};

// Registers 0 to 3, whose rows are units from `first` on, to sums[row][unit].
template <int A, int B, int units>
GRU_EXT_FN void store_sums_of_tiles(const TileRegisters& r, int64_t first, GateSums<float, units>& sums) {
  for_sums<A, B>([&](auto t, int a, int b) __attribute__((always_inline)) {
    PairRow rows[kRegisterRows];
    r.template store<decltype(t)::value>(rows, sizeof *rows);
    transpose_register(rows);
    float* const to = &sums[b * kRegisterPairs][first + a * kRegisterRows];
#pragma GCC unroll 16
    for (int i = 0; i < kRegisterRows; ++i) store(to + i * units, VecF::from_bits(rows[i]));
  });
}

template <int A, int B>
GRU_EXT_FN void zero_sums(TileRegisters& r) {
  for_sums<A, B>([&](auto t, int, int) __attribute__((always_inline)) { r.template zero<decltype(t)::value>(); });
}

// How the copies lie: of x and h, steps of x before those of h, for 16 rows each; then of the weights.
struct TiledMemory {
  int64_t of_x, steps;
  int64_t rows;  // of a strip

  TiledMemory(int64_t N, int64_t I, int64_t H) : of_x(register_steps(I)), steps(of_x + register_steps(H)) {
    const int64_t block = kTiledRows * (steps > 0 ? steps : 1) * static_cast<int64_t>(sizeof(PairRow));
    const int64_t fit = block < kTiledStripBytes ? kTiledStripBytes / block * kTiledRows : kTiledRows;
    rows = N < fit ? (N + kRegisterPairs - 1) / kRegisterPairs * kRegisterPairs : fit;
  }

  int64_t of_weights() const { return 3 * kTiledUnits * steps; }
  // Numbers of 32 bits.
  int64_t size() const { return (rows * steps + of_weights()) * kRegisterPairs; }
};

// Up to 32 units from j on for up to 32 rows, whose copies begin at x.
template <int A, int B>
void forward_of_tiles(TileRegisters& r, const ForwardArgs<BFloat16>& p, int64_t j, int units, const RowsOfWeights (&w_ih)[3],
                      const RowsOfWeights (&w_hh)[3], const PairRow* x, const TiledMemory& memory) {
  BlockSums<float, kTiledUnits> s;
  const PairRow* const h = x + memory.of_x * kRegisterRows;
  const int64_t next = memory.steps * kRegisterRows * static_cast<int64_t>(sizeof *x);
  // With one register of rows, so one of units: 16 rows of weights in turn come quicker than 32 (1.1 times at I = H = 256).
  constexpr int together = B == 2 ? A : 1;
  for (int u = 0; u < A * kRegisterRows; u += together * kRegisterRows)
    for (int g = 0; g < 3; ++g) {
      zero_sums<together, B>(r);
      w_ih[g].multiply<together, B>(r, u, x, next);
      if (g == 2) {
        store_sums_of_tiles<together, B>(r, u, s.n_input);
        zero_sums<together, B>(r);
      }
      w_hh[g].multiply<together, B>(r, u, h, next);
      store_sums_of_tiles<together, B>(r, u, g == 2 ? s.q : s.r_z[g]);
    }
  finish_block(p, j, units, s);
}

template <class T>
int64_t forward_scratch(int64_t N, int64_t I, int64_t H) {
  return TiledMemory(N, I, H).size();
}

// Units [begin, end) of all rows.
template <class T>
void forward(const ForwardArgs<T>& p, int64_t begin, int64_t end, float* scratch) {
  const int64_t I = p.I, H = p.H;
  const TiledMemory memory(p.N, I, H);
  PairRow* const x = reinterpret_cast<PairRow*>(scratch);
  PairRow* const of_weights = x + memory.rows * memory.steps;
  TileRegisters registers;
  bool from_end = p.from_end;
  for (int64_t m = 0; m < p.N; m += memory.rows, from_end = !from_end) {
    const ForwardArgs<T> strip = p.rows(m, m + memory.rows < p.N ? m + memory.rows : p.N);
    for (int64_t n = 0; n < strip.N; n += kRegisterPairs) {
      PairRow* const to = x + n * memory.steps;
      copy_to_columns(strip.x + n * p.x_row, p.x_row, strip.N - n, I, to);
      copy_to_columns(strip.h + n * p.h_row, p.h_row, strip.N - n, H, to + memory.of_x * kRegisterRows);
    }
    const int64_t last = begin + (end - begin - 1) / kTiledUnits * kTiledUnits;
    for (int64_t from_begin = begin; from_begin < end; from_begin += kTiledUnits) {
      const int64_t j = from_end ? begin + last - from_begin : from_begin;
      const int units = static_cast<int>(end - j < kTiledUnits ? end - j : kTiledUnits);
      const auto rows_of = [&](const BFloat16* w, int64_t K, int64_t g, int64_t step) {
        return RowsOfWeights(w + (g * H + j) * K, units, K, of_weights + (g * memory.steps + step) * kTiledUnits);
      };
      const RowsOfWeights w_ih[] = {rows_of(p.w_ih, I, 0, 0), rows_of(p.w_ih, I, 1, 0), rows_of(p.w_ih, I, 2, 0)};
      const RowsOfWeights w_hh[] = {rows_of(p.w_hh, H, 0, memory.of_x), rows_of(p.w_hh, H, 1, memory.of_x),
                                    rows_of(p.w_hh, H, 2, memory.of_x)};
      for (int64_t n = 0; n < strip.N; n += kTiledRows) {
        const ForwardArgs<T> rows = strip.rows(n, n + kTiledRows < strip.N ? n + kTiledRows : strip.N);
        with_registers(units, rows.N, [&](auto A, auto B) __attribute__((always_inline)) {
          forward_of_tiles<decltype(A)::value, decltype(B)::value>(registers, rows, j, units, w_ih, w_hh, x + n * memory.steps,
                                                                   memory);
        });
      }
    }
  }
  registers.release();
}
