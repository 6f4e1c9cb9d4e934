// Which end of its weights a step begins at. Read in the same order step after step, weights that a cache does not quite hold
// are not found there at all: each has been replaced before its turn comes. Those read last are still there if they are read
// first. So steps take turns: one goes from the first units to the last, the next one back.
#pragma once

#include <atomic>
#include <cstdint>

namespace gru_ext {

// Of several weights, each usually with a turn of its own. Two that share one lose nothing but what they would gain; so do
// threads, which may call this at once.
class Turns {
 public:
  // Whether this step begins at the end. Where threads share the weights, `memory` tells them apart.
  bool next(const void* weights, const void* memory = nullptr) {
    // The upper bits of a product with the golden ratio depend on all bits of the addresses.
    const uint64_t key = reinterpret_cast<uintptr_t>(weights) ^ reinterpret_cast<uintptr_t>(memory);
    std::atomic<bool>& turn = slots_[(key * uint64_t{0x9e3779b97f4a7c15}) >> (64 - kBits)].turn;
    const bool from_end = !turn.load(std::memory_order_relaxed);
    turn.store(from_end, std::memory_order_relaxed);
    return from_end;
  }

 private:
  static constexpr int kBits = 4;
  // A cache line each: threads of small models would wait for one that they share.
  struct alignas(64) Slot {
    std::atomic<bool> turn{false};
  };
  Slot slots_[1 << kBits];
};

}  // namespace gru_ext
