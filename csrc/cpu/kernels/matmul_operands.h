// What a matrix product reads: A and B as elements that the register tile multiplies, copied where they do not lie so.
#pragma once

constexpr int kBlockK = 256;     // a packed panel of 3 vectors by 256 fits the first-level cache beside the rows of A
constexpr int kBlockRows = 384;  // a packed block of A, 384 by 256, stays in the second-level cache
static_assert(kBlockRows % kPanelRows == 0);

template <class T>
constexpr int kPanelWidth = 3 * Vec<Compute<T>>::kLanes;
// Whether some panels of B are copied two at a time (matmul.h).
template <class T>
constexpr bool kTwoPanels = GRU_EXT_VEC_BYTES == 32 && sizeof(T) == sizeof(Compute<T>);

// Numbers in a panel of B, or two, and in a block of A: small products do without the memory that large ones need.
template <class T>
int64_t panel_size(const MatmulArgs<T>& p) {
  return (p.K < kBlockK ? p.K : kBlockK) * kPanelWidth<T> * (kTwoPanels<T> ? 2 : 1);
}
template <class T>
int64_t block_size(const MatmulArgs<T>& p) {
  const int64_t rows = (p.M + kPanelRows - 1) / kPanelRows * kPanelRows;
  return (p.K < kBlockK ? p.K : kBlockK) * (rows < kBlockRows ? rows : kBlockRows);
}

// Rows that are whole pages apart share a few lines of the first-level cache, so that none stays there for the next tile.
constexpr int64_t kPageBytes = 4096;

// An A that lies transposed is read in place if its block is no larger. Measured on a Zen 5, for the gradients of weights: 1.02
// to 1.2 times as fast as a copy; with narrower vectors larger blocks, or rows whole pages apart, up to 1.4 times as slow.
constexpr int64_t kBytesInPlace = GRU_EXT_VEC_BYTES == 64 ? 2 << 20 : 256 << 10;

// Numbers one by one, in the compute type.
template <class T>
struct MatmulOperands {
  using Element = Compute<T>;

  // Of a contraction of K terms.
  GRU_EXT_FN static int64_t elements(int64_t K) { return K; }

  GRU_EXT_FN static bool copies_a(const MatmulArgs<T>& p) {
    const int64_t column_bytes = p.a_col * static_cast<int64_t>(sizeof(Element)), K = p.K < kBlockK ? p.K : kBlockK;
    return p.a_col != 1 && (K * column_bytes > kBytesInPlace || column_bytes % kPageBytes == 0);
  }

  template <int width>
  GRU_EXT_FN static void copy_b(const T* b, int64_t b_row, int64_t K, int64_t count, bool ask, Element* panel) {
    copy_panel<width>(b, b_row, K, count, ask, panel);
  }

  // Calls f(the rows of A from a on); memory takes the copy.
  template <class F>
  GRU_EXT_FN static void with_a(const MatmulArgs<T>& p, const Compute<T>* a, int64_t rows, int64_t K, Compute<T>* memory,
                                const F& f) {
    if (p.a_col == 1) return f(RowsInPlace<Element>{a, p.a_row});
    if (!copies_a(p)) return f(ColumnsInPlace<Element>{a, p.a_col});
    copy_row_panels<kPanelRows>(a, p.a_col, rows, K, memory);
    f(RowsInPanels<Element>{memory, kPanelRows * K});
  }
};
