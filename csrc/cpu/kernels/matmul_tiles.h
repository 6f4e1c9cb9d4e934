// The matrix products of the backward step in bfloat16 where the level has registers for whole tiles: both operands are copied,
// a register at a time, and the sums start from C.
#pragma once

constexpr int64_t kTiledK = 512;                       // of a block of the contraction; with 32 columns of B 32 KB
constexpr int64_t kTiledColumns = 2 * kRegisterPairs;  // of a panel of B

// Of the longest block of the contraction.
GRU_EXT_FN int64_t most_register_steps(const MatmulArgs<BFloat16>& p) { return register_steps(p.K < kTiledK ? p.K : kTiledK); }

// Numbers of 32 bits: a block of A, a panel of B.
GRU_EXT_FN int64_t tiled_size_of_a(const MatmulArgs<BFloat16>& p) {
  const int64_t rows = p.M < kBlockRows ? (p.M + kRegisterRows - 1) / kRegisterRows * kRegisterRows : kBlockRows;
  return most_register_steps(p) * rows * kRegisterPairs;
}
GRU_EXT_FN int64_t matmul_tiles_scratch(const MatmulArgs<BFloat16>& p) {
  return tiled_size_of_a(p) + most_register_steps(p) * kRegisterPairs * kTiledColumns;
}

// `rows` rows of A, K terms, rounded to bfloat16: 16 rows after 16 rows, step by step.
GRU_EXT_FN void copy_to_tiles(const MatmulArgs<BFloat16>& p, const float* a, int64_t rows, int64_t K, PairRow* to) {
  for (int64_t m = 0; m < rows; m += kRegisterRows)
    for (int64_t k = 0; k < K; k += kRegisterTerms, to += kRegisterRows) {
      if (p.a_col == 1) {
        constexpr int n = VecF::kLanes;
        for (int i = 0; i < kRegisterRows; ++i)
          for (int half = 0; half < 2; ++half) {
            const int64_t at = k + half * n, left = m + i < rows ? K - at : 0;
            const VecF numbers = left > 0 ? load_upto(a + (m + i) * p.a_row + at, left) : VecF::zero();
            store(reinterpret_cast<BFloat16*>(to + i) + half * n, numbers);
          }
      } else {
        const auto bits = [&](int64_t column) __attribute__((always_inline)) {
          return column < K ? bf16_bits(load_upto(a + column * p.a_col + m, rows - m)) : RawU32{};
        };
        for (int i = 0; i < kRegisterPairs; ++i) to[i] = pairs(bits(k + 2 * i), bits(k + 2 * i + 1));
        transpose_register(to);
      }
    }
}

// A register's part of C.
struct PartOfC {
  float* at;
  int64_t row, rows, columns;  // rows and columns of it are inside of C
  const float* addend;         // or null

  bool whole() const { return rows >= kRegisterRows && columns >= kRegisterPairs; }
};

// Registers 0 to 3 are the sums of blocks of C, or a part of them.
template <int t>
GRU_EXT_FN void load_sums(TileRegisters& r, const PartOfC& c, bool accumulate) {
  if (!accumulate) return r.zero<t>();
  if (c.whole()) return r.load<t>(c.at, c.row * static_cast<int64_t>(sizeof *c.at));
  VecF rows[kRegisterRows] = {};
  for (int i = 0; i < kRegisterRows && i < c.rows; ++i) rows[i] = load_upto(c.at + i * c.row, c.columns);
  r.load<t>(rows, sizeof *rows);
}
template <int t>
GRU_EXT_FN void store_sums(const TileRegisters& r, const PartOfC& c) {
  if (c.whole() && !c.addend) return r.store<t>(c.at, c.row * static_cast<int64_t>(sizeof *c.at));
  VecF rows[kRegisterRows];
  r.store<t>(rows, sizeof *rows);
  for (int i = 0; i < kRegisterRows && i < c.rows; ++i) {
    if (c.addend) rows[i] = rows[i] + load_upto(c.addend + i * c.row, c.columns);
    store_upto(c.at + i * c.row, rows[i], c.columns);
  }
}

// Up to 32 rows and columns of C, of so many steps of the contraction.
template <int A, int B>
void multiply_tiles(TileRegisters& r, int64_t steps, const PairRow* a, const Pair* b, const PartOfC& c, bool accumulate) {
  const auto part = [&](int i, int j) __attribute__((always_inline)) {
    const int64_t at = i * kRegisterRows * c.row + j * kRegisterPairs;
    return PartOfC{c.at + at, c.row, c.rows - i * kRegisterRows, c.columns - j * kRegisterPairs,
                   c.addend ? c.addend + at : nullptr};
  };
  for_sums<A, B>([&](auto t, int i, int j)
                     __attribute__((always_inline)) { load_sums<decltype(t)::value>(r, part(i, j), accumulate); });
  const int64_t a_next = steps * kRegisterRows * static_cast<int64_t>(sizeof *a);
  constexpr int64_t b_row = kTiledColumns * sizeof *b, b_next = kRegisterPairs * sizeof *b;
  for (int64_t s = 0; s < steps; ++s, a += kRegisterRows, b += kRegisterPairs * kTiledColumns)
    multiply_registers<A, B>(r, a, sizeof *a, a_next, b, b_row, b_next);
  for_sums<A, B>([&](auto t, int i, int j) __attribute__((always_inline)) { store_sums<decltype(t)::value>(r, part(i, j)); });
}

// Rows [begin, end) of C from K terms from k0 on.
GRU_EXT_FN void matmul_long(const MatmulArgs<BFloat16>& p, int64_t begin, int64_t end, int64_t k0, int64_t K, float* scratch) {
  PairRow* const of_a = reinterpret_cast<PairRow*>(scratch);
  Pair* const panel = reinterpret_cast<Pair*>(scratch + tiled_size_of_a(p));
  const int64_t steps = register_steps(K);
  const bool accumulate = p.accumulate || k0 > 0, last = k0 + K == p.K;
  TileRegisters registers;
  for (int64_t m0 = begin; m0 < end; m0 += kBlockRows) {
    const int64_t rows = end - m0 < kBlockRows ? end - m0 : kBlockRows;
    copy_to_tiles(p, p.a + m0 * p.a_row + k0 * p.a_col, rows, K, of_a);
    for (int64_t j = 0; j < p.J; j += kTiledColumns) {
      const int64_t columns = p.J - j < kTiledColumns ? p.J - j : kTiledColumns;
      using Operands = MatmulOperands<BFloat16>;
      Operands::copy_b<kTiledColumns>(p.b + k0 * p.b_row + j, p.b_row, K, columns, /*ask=*/false, panel);
      for (Pair* to = panel + Operands::elements(K) * kTiledColumns; to < panel + steps * kRegisterPairs * kTiledColumns;
           to += VecF::kLanes)
        store_pairs(to, RawU32{}, VecF::kLanes);
      for (int64_t m = 0; m < rows; m += 2 * kRegisterRows) {
        const int64_t at = (m0 + m) * p.c_row + j;
        const PartOfC c = {p.c + at, p.c_row, rows - m, columns, p.addend && last ? p.addend + at : nullptr};
        with_registers(c.rows, columns, [&](auto A, auto B) __attribute__((always_inline)) {
          multiply_tiles<decltype(A)::value, decltype(B)::value>(registers, steps, of_a + m * steps, panel, c, accumulate);
        });
      }
    }
  }
  registers.release();
}
