// The pointwise part of the backward step, and the bias gradients with it: one pass over r, z, n, q, h and the gradient.
#pragma once

// Vectors of units at a time, 256 bytes of a row at every level: rows that are whole pages apart share a few lines of the
// first-level cache, so that a line that is not used up at once is gone. With 64 bytes 2 to 7 times as long at H = 512.
constexpr int kSummedVectors = 256 / GRU_EXT_VEC_BYTES;

template <class S>
struct GateSum {
  Vec<S> r, z, n, q;
};

// Row n, units j ... j + count - 1.
template <class T>
GRU_EXT_FN void gates_backward_vector(const GatesBackwardArgs<T>& p, int64_t n, int64_t j, int64_t count,
                                      GateSum<Compute<T>>& sum) {
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
  sum = {sum.r + d.r, sum.z + d.z, sum.n + d.n, sum.q + d.q};
}

// Rows [begin, end), which are summed up together; V vectors of units from j on, the last with `count` units.
template <int V, class T>
GRU_EXT_FN void gates_backward_rows(const GatesBackwardArgs<T>& p, int64_t begin, int64_t end, int64_t j, int64_t count) {
  using S = Compute<T>;
  constexpr int lanes = Vec<S>::kLanes;
  GateSum<S> sum[V] = {};
  for (int64_t n = begin; n < end; ++n)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) gates_backward_vector(p, n, j + v * lanes, v < V - 1 ? lanes : count, sum[v]);
  if (!p.sums) return;
  S* const sums = p.sums + begin / kSummedRows * 4 * p.H + j;
  for (int v = 0; v < V; ++v) {
    const int64_t units = v < V - 1 ? lanes : count;
    store_upto(sums + v * lanes, sum[v].r, units);
    store_upto(sums + p.H + v * lanes, sum[v].z, units);
    store_upto(sums + 2 * p.H + v * lanes, sum[v].n, units);
    store_upto(sums + 3 * p.H + v * lanes, sum[v].q, units);
  }
}

template <class T>
void gates_backward(const GatesBackwardArgs<T>& p, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Vec<Compute<T>>::kLanes, together = kSummedVectors * lanes;
  for (int64_t n = begin; n < end; n += kSummedRows) {
    const int64_t rows_end = n + kSummedRows < end ? n + kSummedRows : end;
    int64_t j = 0;
    for (; j + together <= p.H; j += together) gates_backward_rows<kSummedVectors>(p, n, rows_end, j, lanes);
    for (; j < p.H; j += lanes) gates_backward_rows<1>(p, n, rows_end, j, p.H - j);
  }
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
void bias_gradients(const GatesBackwardArgs<T>& p, int64_t begin, int64_t end) {
  using S = Compute<T>;
  constexpr int64_t lanes = Vec<S>::kLanes;
  for (int64_t j = begin; j < end; j += lanes) {
    const int64_t count = end - j, blocks = (p.N + kSummedRows - 1) / kSummedRows;
    GateSum<S> total = {};
    for (int64_t block = 0; block < blocks; ++block) {
      const S* const sums = p.sums + block * 4 * p.H + j;
      total = {total.r + load_upto(sums, count), total.z + load_upto(sums + p.H, count),
               total.n + load_upto(sums + 2 * p.H, count), total.q + load_upto(sums + 3 * p.H, count)};
    }
    store_bias_gradient(p, p.d_b_ih, j, count, total.r, total.z, total.n);
    store_bias_gradient(p, p.d_b_hh, j, count, total.r, total.z, total.q);
  }
}
