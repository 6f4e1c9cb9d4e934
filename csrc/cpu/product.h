// The matrix products of the backward step, for one of several threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cpu/kernels/kernels.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace gru_ext::cpu {

// Rows and columns per share of a product: fine enough for parts that hardly differ. They need not fit the tiles, of which a
// thread has a smaller one at its borders alone.
constexpr int64_t kProductRowStep = 4, kProductColumnStep = 16;
// Rows of a product that exist in the compute type where the result is rounded: few enough to stay in a cache, and as many for
// any number of threads, because a rest of few rows is summed in another order. The products' own block, so that B is packed
// no more often.
constexpr int64_t kRoundedRows = 384;

// Rows and columns of a product.
struct Area {
  int64_t row, rows_end, column, columns_end;
};

// A share of C; where it is.
template <class T>
Area product(const CellKernels<T>& k, const MatmulArgs<T>& p, Share share) {
  // Threads that divide the columns each read all of A, those that divide the rows all of B.
  const double of_rows = share.largest(p.M, kProductRowStep), of_columns = share.largest(p.J, kProductColumnStep);
  const bool by_rows = of_rows < of_columns || (of_rows == of_columns && p.M >= p.J);
  const auto [row, rows_end] = (by_rows ? share : Share{}).of(p.M, kProductRowStep);
  const auto [column, columns_end] = (by_rows ? Share{} : share).of(p.J, kProductColumnStep);
  if (row < rows_end && column < columns_end) {
    const MatmulArgs<T> columns = p.columns(column, columns_end);
    const Scratch<Compute<T>> scratch(k.matmul_scratch(columns));
    k.matmul(columns, row, rows_end, scratch.data());
  }
  return {row, rows_end, column, columns_end};
}

// A share of a product whose C is dense, to C in the compute type or rounded to T.
template <class T, class C>
void product_to(const CellKernels<T>& k, MatmulArgs<T> p, C* c, Share share) {
  if constexpr (std::is_same_v<C, Compute<T>>) {
    p.c = c;
    product(k, p, share);
  } else {
    const int64_t most = std::min(p.M, kRoundedRows);
    const Scratch<Compute<T>> sums(most * p.J);
    p.c = sums.data();
    for (int64_t m = 0; m < p.M; m += most) {
      const Area area = product(k, p.rows(m, std::min(m + most, p.M)), share);
      for (int64_t row = area.row; row < area.rows_end; ++row)
        k.round(sums.data() + row * p.J + area.column, area.columns_end - area.column, c + (m + row) * p.J + area.column);
    }
  }
}

}  // namespace gru_ext::cpu
