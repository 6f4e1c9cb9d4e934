// One layer: the products with x, those with h, and the gates.
#pragma once

// What the gates need of a layer's workspace: three rows of P numbers for each row n of the batch.
GRU_EXT_FN float* input_row(const Layer& l, const Workspace& s, int64_t n) { return s.input + n * 3 * l.P; }

// The biases join the products with x.
void add_biases(const Layer& l, int64_t rows, const Workspace& s) {
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t j = 0; j < 3 * l.P; j += VecF::kLanes) {
      float* sum = input_row(l, s, n) + j;
      store(sum, load(sum) + load(l.bias + j));
    }
}

// In two passes, as csrc/cpu/kernels/forward.h has them: r and z take the places of their input sums.
void update_states(const Layer& l, int64_t rows, float* h, int64_t h_row, const Workspace& s) {
  const int64_t P = l.P;
  for (int64_t n = 0; n < rows; ++n) {
    float *const in = input_row(l, s, n), *const hidden = s.hidden + n * 3 * P;
    for (int64_t j = 0; j < 2 * P; j += VecF::kLanes) store(in + j, gate(load(in + j) + load(hidden + j)));
    for (int64_t j = 0; j < l.H; j += VecF::kLanes) {
      const VecF r = load(in + j), z = load(in + P + j), q = load(hidden + 2 * P + j) + load(l.bias + 3 * P + j);
      const Gates<VecF> g = {r, z, candidate(r, load(in + 2 * P + j), q), q};
      float* unit = h + n * h_row + j;
      store_upto(unit, next_state(g, load_upto(unit, l.H - j)), l.H - j);
    }
  }
}

// Where r acts on the state, before the product (Keras with reset_after=False, ONNX with linear_before_reset=0):
//
//   n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)
//
// so r of all units comes before the n of any. Puts r * h and z in the places of their input sums.
void reset_states(const Layer& l, int64_t rows, const float* h, int64_t h_row, const Workspace& s) {
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t j = 0; j < l.H; j += VecF::kLanes) {
      float* in = input_row(l, s, n) + j;
      const float* hidden = s.hidden + n * 2 * l.P + j;
      store(in, gate(load(in) + load(hidden)) * load_upto(h + n * h_row + j, l.H - j));
      store(in + l.P, gate(load(in + l.P) + load(hidden + l.P)));
    }
}

void update_reset_states(const Layer& l, int64_t rows, float* h, int64_t h_row, const Workspace& s) {
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t j = 0; j < l.H; j += VecF::kLanes) {
      const float* in = input_row(l, s, n) + j;
      const VecF q = load(s.hidden + n * l.P + j) + load(l.bias + 3 * l.P + j);
      // r is in the product already.
      const Gates<VecF> g = {VecF::zero(), load(in + l.P), tanh(load(in + 2 * l.P) + q), q};
      float* unit = h + n * h_row + j;
      store_upto(unit, next_state(g, load_upto(unit, l.H - j)), l.H - j);
    }
}

template <class W>
void input_sums(const Layer& l, int64_t rows, const float* x, int64_t x_row, const Workspace& s) {
  product<W>(l.w_ih, rows, x, x_row, s.activations, s.input);
  add_biases(l, rows, s);
}

template <class W>
void next_states(const Layer& l, int64_t rows, float* h, int64_t h_row, const Workspace& s) {
  product<W>(l.w_hh, rows, h, h_row, s.activations, s.hidden);
  update_states(l, rows, h, h_row, s);
}

template <class W>
void next_states_reset_before(const Layer& l, int64_t rows, float* h, int64_t h_row, const Workspace& s) {
  product<W>(l.w_hh, rows, h, h_row, s.activations, s.hidden);
  reset_states(l, rows, h, h_row, s);
  product<W>(l.w_hn, rows, s.input, 3 * l.P, s.activations, s.hidden);
  update_reset_states(l, rows, h, h_row, s);
}
