// Packed weights in memory: a header, a record for each layer, then what Layer points to, each part aligned to 64 bytes. It
// holds offsets instead of addresses, so it can be copied, and everything but the weights follows from sizes, type and level.
#pragma once

#include <cstddef>

#include "gru_ext/stream.h"
#include "stream/kernels/kernels.h"

namespace gru_ext::stream {

struct PackedMatrix {
  int64_t J, K;
  uint64_t w, scale;  // bytes from the beginning of the header; scale of int8 alone
};

struct PackedLayer {
  int64_t I, H, P;
  uint64_t bias;
  PackedMatrix w_ih, w_hh, w_hn;
};

// Where things are in the scratch memory, which serves the largest layer: the parts of Workspace, and the outputs of a block of
// steps.
struct ScratchPlan {
  uint64_t input, hidden, activations, outputs, size;
};

struct PackedHeader {
  uint64_t magic;
  uint32_t version, type, level, reset_before;
  int64_t num_layers, input_size, output_size, state_size;
  uint64_t size;
  ScratchPlan scratch;
};

inline const PackedHeader& header(const void* packed) { return *static_cast<const PackedHeader*>(packed); }
inline const PackedLayer* layers(const void* packed) {
  return reinterpret_cast<const PackedLayer*>(static_cast<const PackedHeader*>(packed) + 1);
}

// 32-bit words of a row of K weights.
inline int64_t words(int64_t K, uint32_t type) {
  constexpr int64_t per_word[] = {1, 2, 4};
  return (K + per_word[type] - 1) / per_word[type];
}

gru_info describe(const PackedHeader& h);

// Plans the memory of a model, layer after layer, from its sizes.
class Plan {
 public:
  // What is wrong with the arguments shows in error().
  Plan(int64_t num_layers, int64_t type, int64_t reset_before, int level);

  PackedLayer add(int64_t I, int64_t H);
  int error() const { return error_; }
  // After all layers.
  PackedHeader finish();

 private:
  uint64_t take(int64_t count, uint64_t bytes);
  PackedMatrix matrix(int64_t J, int64_t K);

  PackedHeader header_ = {};
  int64_t lanes_ = 0, largest_P_ = 0, largest_K_ = 0;
  int error_ = GRU_OK;
};

}  // namespace gru_ext::stream
