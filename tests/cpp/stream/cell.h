// A random cell, packed, in memory that ends where its numbers end.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "buffer.h"
#include "check.h"
#include "gru_ext/stream.h"

namespace gru_ext::stream {

using cpu::Buffer;
using cpu::Random;

inline void stop(const char* what, int code) {
  std::fprintf(stderr, "%s: %s\n", what, gru_error_string(code));
  std::exit(EXIT_FAILURE);
}

struct Cell {
  Buffer<float> w_ih, w_hh, b_ih, b_hh;
  gru_weights weights;

  // biases: bit 0 b_ih, bit 1 b_hh. The sums of the gates spread as a normal variable of deviation 1 to 1.3.
  Cell(int64_t I, int64_t H, int biases, Random& random) : w_ih(3 * H * I), w_hh(3 * H * H), b_ih(3 * H), b_hh(3 * H) {
    const double scale = 1.5 / std::sqrt(static_cast<double>(I + H + 1));
    for (const auto* b : {&w_ih, &w_hh}) random.fill(*b, -scale, scale);
    for (const auto* b : {&b_ih, &b_hh}) random.fill(*b, -1, 1);
    weights = {w_ih.data(), w_hh.data(), biases & 1 ? b_ih.data() : nullptr, biases & 2 ? b_hh.data() : nullptr, I, H};
  }
};

struct Packed {
  gru_stack stack;
  Buffer<float> memory;
  Buffer<float> scratch;

  Packed(const gru_stack& s, gru_weight_type type)
      : stack(s), memory(static_cast<int64_t>(gru_stack_packed_size(&stack, type) / sizeof(float))), scratch(pack(type)) {}

  const void* get() const { return memory.data(); }
  gru_info info() const { return gru_describe(get()); }

 private:
  int64_t pack(gru_weight_type type) {
    const size_t size = gru_stack_packed_size(&stack, type);
    const int error = gru_stack_pack(&stack, type, memory.data(), size);
    if (error != GRU_OK) stop("packing", error);
    if (const int wrong = gru_check(memory.data(), size)) stop("the packed model", wrong);
    return static_cast<int64_t>(gru_scratch_size(memory.data()) / sizeof(float));
  }
};

}  // namespace gru_ext::stream
