// What a block of the forward step collects, and what becomes of it: gates and new states.
#pragma once

// The sums of one gate for each row and unit of a block, without biases.
template <class S, int most_units = kGatedUnits<S>>
using GateSums = S[kGatedRows][most_units];

// What the gates of a block are computed from, without biases.
template <class S, int most_units = kGatedUnits<S>>
struct BlockSums {
  GateSums<S, most_units> r_z[2], n_input, q;
};

// Gates and new states of `units` units from j on, for the rows of a batch of at most kGatedRows.
template <class T, int most_units>
GRU_EXT_FN void finish_block(const ForwardArgs<T>& p, int64_t j, int units, BlockSums<Compute<T>, most_units>& s) {
  using S = Compute<T>;
  constexpr int lanes = Vec<S>::kLanes;
  // In two passes: from r to the next state each instruction waits for the one before it, and two rows' worth of them is all
  // that a processor looks ahead. While r and z come first, it has several rows at hand in either pass.
  for (int u = 0; u < units; u += lanes) {
    const Biases<T> bias(p, j + u, units - u);
    for (int64_t n = 0; n < p.N; ++n) {
      S *const r = s.r_z[0][n] + u, *const z = s.r_z[1][n] + u;
      store(r, gate(load(r) + bias.r));
      store(z, gate(load(z) + bias.z));
    }
  }
  for (int u = 0; u < units; u += lanes) {
    const Biases<T> bias(p, j + u, units - u);
    for (int64_t n = 0; n < p.N; ++n)
      finish_step(p, n, j + u, units - u, load(s.r_z[0][n] + u), load(s.r_z[1][n] + u), load(s.n_input[n] + u) + bias.n,
                  load(s.q[n] + u) + bias.q);
  }
}
