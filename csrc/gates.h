// THE equations of the cell, forward and backward, for any number type that has + - * and, found by its own namespace,
// sigmoid and tanh: SIMD vectors, CUDA scalars, at::Tensor. Written here once; nothing else in this project spells them out.
//
//   r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)      q  = W_hn h + b_hn
//   z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)      n  = tanh(W_in x + b_in + r * q)      h' = n + z * (h - n)
//
// This is torch.nn.GRUCell's variant of Cho et al. 2014 (arXiv:1406.1078): the reset gate acts after the hidden product.
// docs/math.md derives the backward pass.
#pragma once

#if defined(__CUDACC__)
#define GRU_EXT_INLINE __device__ __forceinline__
#else
#define GRU_EXT_INLINE inline __attribute__((always_inline))
#endif

namespace gru_ext {

// What the backward pass needs of a forward step, in the order in which it is stored.
template <class V>
struct Gates {
  V r, z, n, q;
};

// Gradients with respect to the four sums that enter the gates: those of r and of z, W_in x + b_in, and q.
template <class V>
struct GateGrads {
  V r, z, n, q;
};

// r and z of their sums.
template <class V>
GRU_EXT_INLINE V gate(const V& sum) {
  return sigmoid(sum);
}

// n.
template <class V>
GRU_EXT_INLINE V candidate(const V& r, const V& n_input, const V& q) {
  return tanh(n_input + r * q);
}

template <class V>
GRU_EXT_INLINE Gates<V> gates(const V& r_sum, const V& z_sum, const V& n_input, const V& q) {
  const V r = gate(r_sum);
  return {r, gate(z_sum), candidate(r, n_input, q), q};
}

template <class V>
GRU_EXT_INLINE V next_state(const Gates<V>& s, const V& h) {
  return s.n + s.z * (h - s.n);
}

// g is the gradient of h'. 1 - z is kept as a factor: z - z * z would lose it to cancellation where z is close to 1.
template <class V>
GRU_EXT_INLINE GateGrads<V> gates_backward(const V& g, const V& h, const Gates<V>& s) {
  const V one_minus_z = 1 - s.z;
  const V n = g * one_minus_z * (1 - s.n * s.n);
  const V z = g * (h - s.n) * s.z * one_minus_z;
  const V r = n * s.q * s.r * (1 - s.r);
  return {r, z, n, n * s.r};
}

// The part of the gradient of h that does not pass through W_hh.
template <class V>
GRU_EXT_INLINE V state_backward(const V& g, const Gates<V>& s) {
  return g * s.z;
}

}  // namespace gru_ext
