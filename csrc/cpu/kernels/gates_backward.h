// The pointwise part of the backward step, and the bias gradients with it: one pass over r, z, n, q, h and the gradient.
#pragma once

// Units per strip: whole cache lines of every matrix, and the bias sums of a strip stay in the first-level cache.
constexpr int kStripUnits = 64;
// Rows per partial bias sum: adding partial sums keeps the rounding error of a long batch near that of a pairwise sum.
constexpr int kPartialRows = 64;

template <class S>
struct BiasSums {
  Vec<S> r[kStripUnits / Vec<S>::kLanes], z[kStripUnits / Vec<S>::kLanes], n[kStripUnits / Vec<S>::kLanes],
      q[kStripUnits / Vec<S>::kLanes];
};

// Row n, units j ... j + count - 1.
template <class T>
GRU_EXT_FN void gates_backward_vector(const GatesBackwardArgs<T>& p, int64_t n, int64_t j, int64_t count,
                                      BiasSums<Compute<T>>& sums, int v) {
  const int64_t H = p.H;
  const T* saved = p.saved + n * 4 * H + j;
  const Gates<Vec<Compute<T>>> s{load_upto(saved, count), load_upto(saved + H, count), load_upto(saved + 2 * H, count),
                                 load_upto(saved + 3 * H, count)};
  const auto grad = load_upto(p.grad + n * H + j, count);
  const auto d = gates_backward(grad, load_upto(p.h + n * p.h_row + j, count), s);
  Compute<T>* d_input = p.d_input_gates + n * 3 * H + j;
  Compute<T>* d_hidden = p.d_hidden_gates + n * 3 * H + j;
  store_upto(d_input, d.r, count);
  store_upto(d_input + H, d.z, count);
  store_upto(d_input + 2 * H, d.n, count);
  store_upto(d_hidden, d.r, count);
  store_upto(d_hidden + H, d.z, count);
  store_upto(d_hidden + 2 * H, d.q, count);
  if (p.d_h) store_upto(p.d_h + n * H + j, state_backward(grad, s), count);
  sums.r[v] = sums.r[v] + d.r;
  sums.z[v] = sums.z[v] + d.z;
  sums.n[v] = sums.n[v] + d.n;
  sums.q[v] = sums.q[v] + d.q;
}

// Units j ... of the gradient of one bias, [3H] or null.
template <class T, class V = Vec<Compute<T>>>
GRU_EXT_FN void store_bias_gradient(const GatesBackwardArgs<T>& p, Compute<T>* bias, int64_t j, int64_t count, V r, V z, V n) {
  if (!bias) return;
  const auto put = [&](Compute<T>* at, V sum) __attribute__((always_inline)) {
    store_upto(at, p.accumulate ? load_upto(at, count) + sum : sum, count);
  };
  put(bias + j, r);
  put(bias + p.H + j, z);
  put(bias + 2 * p.H + j, n);
}

template <class T>
void gates_backward(const GatesBackwardArgs<T>& p, int64_t begin, int64_t end) {
  using S = Compute<T>;
  constexpr int lanes = Vec<S>::kLanes;
  for (int64_t strip = begin; strip < end; strip += kStripUnits) {
    const int64_t units = end - strip < kStripUnits ? end - strip : kStripUnits;
    BiasSums<S> total = {};
    for (int64_t row = 0; row < p.N; row += kPartialRows) {
      const int64_t rows_end = row + kPartialRows < p.N ? row + kPartialRows : p.N;
      BiasSums<S> partial = {};
      for (int64_t n = row; n < rows_end; ++n)
        for (int v = 0; v * lanes < units; ++v) gates_backward_vector(p, n, strip + v * lanes, units - v * lanes, partial, v);
      for (int v = 0; v * lanes < units; ++v) {
        total.r[v] = total.r[v] + partial.r[v];
        total.z[v] = total.z[v] + partial.z[v];
        total.n[v] = total.n[v] + partial.n[v];
        total.q[v] = total.q[v] + partial.q[v];
      }
    }
    for (int v = 0; v * lanes < units; ++v) {
      const int64_t j = strip + v * lanes, count = units - v * lanes;
      store_bias_gradient(p, p.d_b_ih, j, count, total.r[v], total.z[v], total.n[v]);
      store_bias_gradient(p, p.d_b_hh, j, count, total.r[v], total.z[v], total.q[v]);
    }
  }
}
