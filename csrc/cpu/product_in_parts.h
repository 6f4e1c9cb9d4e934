// A product of few rows, whose time is that of reading B, for one of several threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/kernels/kernels.h"
#include "cpu/parallel.h"
#include "cpu/product.h"
#include "cpu/scratch.h"

namespace gru_ext::cpu {

// Threads that divide the columns read a piece of each row of B, which is slow where B is far. So they divide the contraction,
// that is whole rows of B: parts of it are summed up by themselves, and the parts' sums at the end. Measured on two threads, of
// a step that trains: with I = H = 512 one row 1.07 times as fast, four rows 1.23; with 200 four rows 1.16. Eight rows have no
// parts: 1.09 times as fast with 200, 0.95 with 512.
constexpr int64_t kRowsInParts = 4;          // of C, at the most
constexpr int64_t kNumbersInPart = 1 << 15;  // of B, at the least
constexpr int64_t kMostParts = 8;
// A step has as many such products, which threads share.
constexpr int64_t kProductsOfStep = 4;

// By sizes alone, so that the sums are the same on any number of threads; as many as there may be threads, because one thread
// takes up to 2 % longer for them.
template <class T>
int64_t parts_of(const MatmulArgs<T>& p) {
  if (p.M > kRowsInParts) return 1;
  const int64_t most = std::min({kMostParts, p.K * p.J / kNumbersInPart, most_shares(kProductsOfStep * p.M * p.J * p.K)});
  int64_t parts = 1;
  while (2 * parts <= most) parts *= 2;
  return parts;
}

// A product with a dense C, rounded to T: all shares of the work, then the sums. Of any number of rows; of nothing if `to` is
// null.
template <class T>
class ProductInParts {
 public:
  ProductInParts(const CellKernels<T>& k, const MatmulArgs<T>& p, T* to)
      : k_(k), p_(p), to_(to), parts_(to ? parts_of(p) : 1), sums_(parts_ > 1 ? parts_ * p.M * p.J : 0) {}

  void multiply(Share share) const {
    if (to_ == nullptr) return;
    if (parts_ == 1) return product_to(k_, p_, to_, share);
    const double of_parts = share.largest(parts_, 1), of_columns = share.largest(p_.J, kProductColumnStep);
    const bool by_parts = of_parts <= kColumnsAreSlower * of_columns;
    const auto [part, parts_end] = (by_parts ? share : Share{}).of(parts_, 1);
    for (int64_t i = part; i < parts_end; ++i) {
      const auto [term, terms_end] = Share{i, parts_}.of(p_.K, 1);
      MatmulArgs<T> terms = p_.terms(term, terms_end);
      terms.c = sums(i);
      product(k_, terms, by_parts ? Share{} : share);
    }
  }

  // After all shares.
  void add_up() const {
    if (parts_ == 1) return;
    const int64_t count = p_.M * p_.J;
    for (int64_t i = 1; i < parts_; ++i) k_.add(sums(i), count, sums(0));
    if (p_.addend) k_.add(p_.addend, count, sums(0));
    k_.round(sums(0), count, to_);
  }

 private:
  // How much longer a share by columns may take than one of the same size by parts: between 1.03 (one row, I = H = 512) and 2.5
  // (four rows) on two threads.
  static constexpr double kColumnsAreSlower = 1.2;

  Compute<T>* sums(int64_t part) const { return sums_.data() + part * p_.M * p_.J; }

  const CellKernels<T>& k_;
  const MatmulArgs<T> p_;
  T* const to_;
  const int64_t parts_;
  const Scratch<Compute<T>> sums_;
};

}  // namespace gru_ext::cpu
