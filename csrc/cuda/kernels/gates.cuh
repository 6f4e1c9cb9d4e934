// The equations on packs: biases as they enter the sums, and r | z | n | q as they are saved.
#pragma once

#include "cuda/kernels/pack.cuh"
#include "gates.h"

namespace gru_ext::cuda {

// The biases of V units from unit j on; zeros where a bias is null.
template <class T, int V>
class BiasPacks {
 public:
  __device__ __forceinline__ BiasPacks(const T* b_ih, const T* b_hh, int64_t H, int64_t j)
      : i_r_(load_or_zero<V>(b_ih, j)),
        i_z_(load_or_zero<V>(b_ih, H + j)),
        i_n_(load_or_zero<V>(b_ih, 2 * H + j)),
        h_r_(load_or_zero<V>(b_hh, j)),
        h_z_(load_or_zero<V>(b_hh, H + j)),
        h_n_(load_or_zero<V>(b_hh, 2 * H + j)) {}

  // Of unit j + i: what is added to the sum of r, to that of z, to W_in x, and to W_hn h.
  __device__ __forceinline__ Number<T> r(int i) const { return i_r_[i] + h_r_[i]; }
  __device__ __forceinline__ Number<T> z(int i) const { return i_z_[i] + h_z_[i]; }
  __device__ __forceinline__ Number<T> n(int i) const { return i_n_[i]; }
  __device__ __forceinline__ Number<T> q(int i) const { return h_n_[i]; }

 private:
  Pack<T, V> i_r_, i_z_, i_n_, h_r_, h_z_, h_n_;
};

// r, z, n and q of V units, which lie H numbers apart in memory.
template <class T, int V>
struct SavedPacks {
  Pack<T, V> r, z, n, q;

  static __device__ __forceinline__ SavedPacks load_from(const T* p, int64_t H) {
    return {load<V>(p), load<V>(p + H), load<V>(p + 2 * H), load<V>(p + 3 * H)};
  }
  __device__ __forceinline__ void store_to(T* p, int64_t H) const {
    store(p, r);
    store(p + H, z);
    store(p + 2 * H, n);
    store(p + 3 * H, q);
  }
  __device__ __forceinline__ Gates<Number<T>> operator[](int i) const { return {r[i], z[i], n[i], q[i]}; }
  __device__ __forceinline__ void set(int i, const Gates<Number<T>>& s) {
    r.set(i, s.r);
    z.set(i, s.z);
    n.set(i, s.n);
    q.set(i, s.q);
  }
};

}  // namespace gru_ext::cuda
