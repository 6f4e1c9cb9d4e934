// What the kernels of a stream offer, the same for every instruction set: plain pointers in, plain pointers out, no torch, no
// std, no memory of their own.
#pragma once

#include <cstdint>

namespace gru_ext::stream {

// Rows (streams of a batch, or steps whose inputs are known) that share one reading of the weights.
constexpr int64_t kBlockRows = 32;

// Vectors of the result that a single row computes at a time.
constexpr int64_t kGroup = 12;

// A matrix of weights [J, K], J a multiple of the vector's lanes, in the order in which a step reads it: a word is 32 bits and
// holds 1, 2 or 4 weights (f32, bf16, int8) of one row, neighbours along K; K is filled up with zeros to whole words. A vector
// has a word of each of `lanes` rows; where the level has no `dot`, a vector of int8 has the first halves of its words, then
// the second ones. Groups of kGroup vectors of rows, the last one smaller; within a group [words][vectors][lanes].
struct Matrix {
  const uint32_t* w;
  const float* scale;  // [J], of int8: a weight is an integer times the scale of its row
  int64_t J, K;
  bool far;  // the weights come from the third-level cache in each step
};

// P is H rounded up to whole vectors; weights and biases of the units past H are zero.
struct Layer {
  int64_t I, H, P;
  const float* bias;  // [4, P]: b_ir + b_hr, b_iz + b_hz, b_in, b_hn
  Matrix w_ih;        // [3P, I]
  Matrix w_hh;        // [3P, H]; where r acts before the product [2P, H], r and z alone
  Matrix w_hn;        // [P, H], where r acts before the product
};

// What a step of a layer needs beside its weights, for up to kBlockRows rows; each aligned to 64 bytes.
struct Workspace {
  float* input;       // [rows, 3P]: W_ih x
  float* hidden;      // [rows, 3P]: W_hh h; where r acts before the product [rows, 2P], then [rows, P]
  void* activations;  // [rows, words] of up to 8 bytes: x or h in the form that products take
};

struct Kernels {
  const char* level;
  int64_t lanes;
  bool dot;  // has instructions that add up the products of whole words, on which the packing of bf16 and int8 depends

  // to [rows, J] = numbers W^T, where the rows of numbers [rows, K] are number_row apart; activations as in Workspace. By the
  // type of the weights, in the order of gru_weight_type. from_end: the last groups come first (turns.h).
  void (*product[3])(const Matrix& w, int64_t rows, const float* numbers, int64_t number_row, void* activations, float* to,
                     bool from_end);

  // From input, hidden and h [rows, H], rows h_row apart, to h.
  void (*next_states)(const Layer&, int64_t rows, float* h, int64_t h_row, const Workspace&);

  // The same for the variant in which r acts before the product with W_hn. First r * h, to the place of r in input; then, with
  // the product of that in hidden, h.
  void (*reset_states)(const Layer&, int64_t rows, const float* h, int64_t h_row, const Workspace&);
  void (*next_states_after_reset)(const Layer&, int64_t rows, float* h, int64_t h_row, const Workspace&);
};

extern const Kernels kernels_default;
extern const Kernels kernels_avx2;  // this and the following: x86-64 only
extern const Kernels kernels_avx512;
extern const Kernels kernels_avx512_vnni_bf16;

}  // namespace gru_ext::stream
