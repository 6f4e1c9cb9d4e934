// The gates of a layer, from its products with x and with h. Those with x are in `input`, three rows of P numbers for each row
// n of the batch, and get their biases here.
#pragma once

GRU_EXT_FN float* input_row(const Layer& l, const Workspace& s, int64_t n) { return s.input + n * 3 * l.P; }

// What the gates take from the input: W x + b, of the unit and gate j.
GRU_EXT_FN VecF input_sum(const Layer& l, const float* in, int64_t j) { return load(in + j) + load(l.bias + j); }

// In two passes, as csrc/cpu/kernels/forward.h has them: r and z take the places of their input sums.
void next_states(const Layer& l, int64_t rows, float* h, int64_t h_row, const Workspace& s) {
  const int64_t P = l.P;
  for (int64_t n = 0; n < rows; ++n) {
    float *const in = input_row(l, s, n), *const hidden = s.hidden + n * 3 * P;
    for (int64_t j = 0; j < 2 * P; j += VecF::kLanes) store(in + j, gate(input_sum(l, in, j) + load(hidden + j)));
    for (int64_t j = 0; j < l.H; j += VecF::kLanes) {
      const VecF r = load(in + j), z = load(in + P + j), q = load(hidden + 2 * P + j) + load(l.bias + 3 * P + j);
      const Gates<VecF> g = {r, z, candidate(r, input_sum(l, in, 2 * P + j), q), q};
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
      float* in = input_row(l, s, n);
      const float* hidden = s.hidden + n * 2 * l.P + j;
      store(in + j, gate(input_sum(l, in, j) + load(hidden)) * load_upto(h + n * h_row + j, l.H - j));
      store(in + l.P + j, gate(input_sum(l, in, l.P + j) + load(hidden + l.P)));
    }
}

void next_states_after_reset(const Layer& l, int64_t rows, float* h, int64_t h_row, const Workspace& s) {
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t j = 0; j < l.H; j += VecF::kLanes) {
      const float* in = input_row(l, s, n);
      const VecF q = load(s.hidden + n * l.P + j) + load(l.bias + 3 * l.P + j);
      // r is in the product already.
      const Gates<VecF> g = {VecF::zero(), load(in + l.P + j), tanh(input_sum(l, in, 2 * l.P + j) + q), q};
      float* unit = h + n * h_row + j;
      store_upto(unit, next_state(g, load_upto(unit, l.H - j)), l.H - j);
    }
}
