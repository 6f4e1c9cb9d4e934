// Numbers on the device and their like on the host, where they are the number types of tests/cpp: the same bits, converted by
// the tests' own arithmetic.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "buffer.h"
#include "cuda/kernels/kernels.h"

namespace gru_ext::cuda {

using cpu::Buffer;
using cpu::from_double;
using cpu::to_double;

template <class T>
struct HostType {
  using type = T;
};
template <>
struct HostType<__half> {
  using type = cpu::Half;
};
template <>
struct HostType<__nv_bfloat16> {
  using type = cpu::BFloat16;
};
template <class T>
using Host = typename HostType<T>::type;

// After most errors a GPU does nothing more for a program: there is nothing to go on with.
inline void must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("FAILED: %s: %s, %s\n", what, cudaGetErrorName(error), cudaGetErrorString(error));
  std::fflush(stdout);
  std::abort();
}
#define MUST(call) must(call, #call)

// The one stream of a test, which does not wait for the default stream, nor that for it: work on another stream than the one
// asked for comes too late.
inline cudaStream_t stream() {
  static const cudaStream_t s = [] {
    cudaStream_t made;
    MUST(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    return made;
  }();
  return s;
}

// `count` numbers that begin `offset` numbers past an address that whole packs can be read from. They are NaN at first, and
// what lies before them, and behind them unless the memory ends there, is looked at when they are read back.
template <class T>
class DeviceNumbers {
 public:
  explicit DeviceNumbers(int64_t count, int64_t offset = 0, bool ends_memory = true)
      : count_(count), before_(static_cast<size_t>(offset) * sizeof(T) + kMargin), behind_(ends_memory ? 0 : kMargin) {
    MUST(cudaMalloc(&memory_, bytes()));
    MUST(cudaMemsetAsync(memory_, kUntouched, bytes(), stream()));
  }

  // A copy, NaN included, that ends where the memory ends.
  explicit DeviceNumbers(const Buffer<Host<T>>& host, int64_t offset = 0) : DeviceNumbers(host.size(), offset) {
    static_assert(sizeof(T) == sizeof(Host<T>));
    if (count_ == 0) return;
    MUST(cudaMemcpyAsync(data(), host.data(), size(), cudaMemcpyHostToDevice, stream()));
    MUST(cudaStreamSynchronize(stream()));
  }

  ~DeviceNumbers() { MUST(cudaFree(memory_)); }
  DeviceNumbers(const DeviceNumbers&) = delete;
  DeviceNumbers& operator=(const DeviceNumbers&) = delete;

  T* data() const { return reinterpret_cast<T*>(static_cast<unsigned char*>(memory_) + before_); }

  // What is there once the stream's work is done.
  void read(const Buffer<Host<T>>& result) const {
    std::vector<unsigned char> all(bytes());
    MUST(cudaMemcpyAsync(all.data(), memory_, bytes(), cudaMemcpyDeviceToHost, stream()));
    MUST(cudaStreamSynchronize(stream()));
    for (size_t i = 0; i < bytes(); ++i)
      if ((i < before_ || i >= before_ + size()) && all[i] != kUntouched) must_not_touch(i);
    if (count_ > 0) std::memcpy(result.data(), all.data() + before_, size());
  }

 private:
  static constexpr size_t kMargin = 64;
  static constexpr int kUntouched = 0xff;  // all ones are NaN in every format

  void must_not_touch(size_t byte) const {
    std::printf("FAILED: a kernel wrote byte %lld of an array of %zu bytes\n",
                static_cast<long long>(byte) - static_cast<long long>(before_), size());
    std::fflush(stdout);
    std::abort();
  }

  size_t size() const { return static_cast<size_t>(count_) * sizeof(T); }
  size_t bytes() const { return before_ + size() + behind_; }

  int64_t count_;
  size_t before_, behind_;
  void* memory_ = nullptr;
};

}  // namespace gru_ext::cuda
