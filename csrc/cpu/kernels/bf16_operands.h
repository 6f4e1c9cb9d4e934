// The operands of a product of gradients with bfloat16, where the level multiplies that in pairs: two terms of the contraction
// become one element. The gradients of the gates are rounded to bfloat16, as torch's own cell rounds them; the sums are not.
#pragma once

// The first in the lower half.
struct Pair {
  uint32_t bits;
} __attribute__((may_alias));

template <>
struct Factors<Pair> {
  using Vector = VecF::RawBits;
  GRU_EXT_FN static Vector load(const Pair* p) {
    Vector pairs;
    __builtin_memcpy(&pairs, p, sizeof pairs);
    return pairs;
  }
  GRU_EXT_FN static Vector broadcast(Pair pair) { return pair.bits - Vector{}; }
  GRU_EXT_FN static VecF add_product(Vector a, Vector b, VecF sum) { return dot(sum, a, b); }
};

GRU_EXT_FN RawU32 pairs(RawU32 first, RawU32 second) { return first | second << 16; }

GRU_EXT_FN void store_pairs(Pair* p, RawU32 v, int64_t count) {
  store_upto(reinterpret_cast<float*>(p), VecF::from_bits(v), count);
}

template <>
struct MatmulOperands<BFloat16> {
  using Element = Pair;
  using Args = MatmulArgs<BFloat16>;
  static constexpr int n = VecF::kLanes;

  GRU_EXT_FN static int64_t elements(int64_t K) { return (K + 1) / 2; }

  GRU_EXT_FN static bool copies_a(const Args&) { return true; }

  // Pairs of a row of B and the next; a last one is paired with zeros.
  template <int width>
  GRU_EXT_FN static void copy_b(const BFloat16* b, int64_t b_row, int64_t K, int64_t count, bool, Pair* panel) {
    for (int64_t k = 0; k < K; k += 2, b += 2 * b_row, panel += width)
#pragma GCC unroll 4
      for (int j = 0; j < width; j += n) {
        // As float32 a bfloat16 is in the upper half.
        const auto bits = [&](const BFloat16* row) __attribute__((always_inline)) {
          return j < count ? reinterpret_cast<RawU32>(load_upto(row + j, count - j).bits()) : RawU32{};
        };
        store_pairs(panel + j, pairs(bits(b) >> 16, k + 1 < K ? bits(b + b_row) >> 16 : RawU32{}), n);
      }
  }

  template <class F>
  GRU_EXT_FN static void with_a(const Args& p, const float* a, int64_t rows, int64_t K, float* memory, const F& f) {
    Pair* const copy = reinterpret_cast<Pair*>(memory);
    if (p.a_col == 1) {
      copy_rows_as_pairs(a, p.a_row, rows, K, copy);
      f(RowsInPlace<Pair>{copy, elements(K)});
    } else {
      copy_panels_as_pairs(a, p.a_col, rows, K, copy);
      f(RowsInPanels<Pair>{copy, kPanelRows * elements(K)});
    }
  }

 private:
  // Neighbours in a row.
  GRU_EXT_FN static void copy_rows_as_pairs(const float* a, int64_t a_row, int64_t rows, int64_t K, Pair* to) {
    for (int64_t m = 0; m < rows; ++m, a += a_row, to += elements(K)) {
      BFloat16* const numbers = reinterpret_cast<BFloat16*>(to);
      for (int64_t k = 0; k < K; k += n) store_upto(numbers + k, load_upto(a + k, K - k), K - k);
      if (K % 2 != 0) numbers[K].bits = 0;
    }
  }

  // Neighbours in a column, the panels as copy_row_panels() has them.
  GRU_EXT_FN static void copy_panels_as_pairs(const float* a, int64_t a_col, int64_t rows, int64_t K, Pair* to) {
    for (int64_t m = 0; m < rows; m += kPanelRows, to += kPanelRows * elements(K))
      for (int64_t k = 0; k < K; k += 2)
#pragma GCC unroll 4
        for (int i = 0; i < kPanelRows; i += n) {
          const int64_t inside = kPanelRows - i < n ? kPanelRows - i : n, left = rows - m - i < inside ? rows - m - i : inside;
          const auto bits = [&](int64_t column) __attribute__((always_inline)) {
            return left > 0 && column < K ? bf16_bits(load_upto(a + column * a_col + m + i, left)) : RawU32{};
          };
          store_pairs(to + k / 2 * kPanelRows + i, pairs(bits(k), bits(k + 1)), inside);
        }
  }
};
