// Scratch memory for one thread, which keeps it from step to step: giving it back each time, and taking it again, can take
// longer than what it is used for, because the system then clears its pages.
#pragma once

#include <c10/core/CPUAllocator.h>

#include <cstddef>
#include <cstdint>

namespace gru_ext::cpu {

// What a thread keeps: a stack, because what is taken while more is in use is given back before that.
class KeptMemory {
 public:
  // More than so many bytes are not kept: the gates' gradients of kChunkRows rows of 512 units (cell_backward.cpp) fit.
  static constexpr size_t kMost = 8 << 20;

  // 64-byte aligned; null if there is no room.
  void* take(size_t size) {
    const size_t used = used_ + size;
    if (used <= kMost && used > wanted_) wanted_ = used;
    if (used_ == 0 && wanted_ > size_) grow();
    if (used > size_) return nullptr;
    void* const taken = static_cast<char*>(memory_.get()) + used_;
    used_ = used;
    return taken;
  }
  void give_back(size_t size) { used_ -= size; }

 private:
  void grow() {
    size_ = 0;
    memory_.clear();
    memory_ = c10::GetCPUAllocator()->allocate(wanted_);
    size_ = wanted_;
  }

  at::DataPtr memory_;
  size_t size_ = 0, used_ = 0;
  size_t wanted_ = 0;  // the most that was in use at once, as far as it is kept
};

inline KeptMemory& kept_memory() {
  static thread_local KeptMemory memory;
  return memory;
}

// Uninitialised memory, 64-byte aligned, for one thread; null if it is for no numbers.
template <class S>
class Scratch {
 public:
  explicit Scratch(int64_t count) : size_((static_cast<size_t>(count) * sizeof(S) + 63) / 64 * 64) {
    if (size_ == 0) return;
    data_ = kept_memory().take(size_);
    if (data_ != nullptr) return;
    own_ = c10::GetCPUAllocator()->allocate(size_);
    data_ = own_.get();
  }
  ~Scratch() {
    if (data_ != nullptr && !own_) kept_memory().give_back(size_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  S* data() const { return static_cast<S*>(data_); }

 private:
  size_t size_;
  void* data_ = nullptr;
  at::DataPtr own_;
};

}  // namespace gru_ext::cpu
