// The end of the forward step: one vector of units of one row, from its sums to memory.
#pragma once

template <class T>
GRU_EXT_FN Vec<Compute<T>> load_bias(const T* bias, int64_t j, int64_t count) {
  return bias ? load_upto(bias + j, count) : Vec<Compute<T>>::zero();
}

// The biases of units j ..., count of them: those of r and z act on the sum of both projections.
template <class T>
struct Biases {
  Vec<Compute<T>> r, z, n, q;

  GRU_EXT_FN Biases(const ForwardArgs<T>& p, int64_t j, int64_t count)
      : r(load_bias(p.b_ih, j, count) + load_bias(p.b_hh, j, count)),
        z(load_bias(p.b_ih, p.H + j, count) + load_bias(p.b_hh, p.H + j, count)),
        n(load_bias(p.b_ih, 2 * p.H + j, count)),
        q(load_bias(p.b_hh, 2 * p.H + j, count)) {}
};

// Row n, units j ..., count of them; n_input and q include the biases.
template <class T>
GRU_EXT_FN void finish_step(const ForwardArgs<T>& p, int64_t n, int64_t j, int64_t count, Vec<Compute<T>> r, Vec<Compute<T>> z,
                            Vec<Compute<T>> n_input, Vec<Compute<T>> q) {
  const Gates<Vec<Compute<T>>> s = {r, z, candidate(r, n_input, q), q};
  store_upto(p.hy + n * p.H + j, next_state(s, load_upto(p.h + n * p.h_row + j, count)), count);
  if (p.saved) {
    T* saved = p.saved + n * 4 * p.H + j;
    store_upto(saved, s.r, count);
    store_upto(saved + p.H, s.z, count);
    store_upto(saved + 2 * p.H, s.n, count);
    store_upto(saved + 3 * p.H, s.q, count);
  }
}
