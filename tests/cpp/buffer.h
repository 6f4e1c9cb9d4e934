// Memory that ends where its numbers end: a read or a write past the end stops the program, whether the compiler or a masked
// instruction makes it, and a write just before the beginning is found when the buffer goes.
//
// The page after the last number may not be touched. Under AddressSanitizer the buffer is a plain block of the heap instead,
// because then the report says which line went how far past which block.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include "formats.h"

namespace gru_ext::cpu {

class Pages {
 public:
  explicit Pages(size_t bytes) : bytes_(bytes) {
#if defined(__SANITIZE_ADDRESS__)
    begin_ = static_cast<unsigned char*>(std::malloc(bytes));
#else
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = (bytes + kMargin + page - 1) / page * page;
    auto& unused = pool()[size_];
    if (unused.empty()) {
      void* at = mmap(nullptr, size_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (at == MAP_FAILED || mprotect(static_cast<char*>(at) + size_, page, PROT_NONE) != 0) std::abort();
      unused.push_back(static_cast<unsigned char*>(at));
    }
    base_ = unused.back();
    unused.pop_back();
    begin_ = base_ + size_ - bytes;
    std::memset(begin_ - kMargin, kUntouched, kMargin);
#endif
  }

  ~Pages() {
#if defined(__SANITIZE_ADDRESS__)
    std::free(begin_);
#else
    for (const unsigned char* p = begin_ - kMargin; p < begin_; ++p)
      if (*p != kUntouched) {
        std::fprintf(stderr, "a kernel wrote before the beginning of a buffer of %zu bytes\n", bytes_);
        std::abort();
      }
    pool()[size_].push_back(base_);
#endif
  }

  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  void* begin() const { return begin_; }

 private:
  static constexpr size_t kMargin = 64;
  static constexpr unsigned char kUntouched = 0xa5;

  // Buffers come and go by the thousand in few sizes; asking the system for each would take most of the time.
  static std::map<size_t, std::vector<unsigned char*>>& pool() {
    static std::map<size_t, std::vector<unsigned char*>> pages;
    return pages;
  }

  size_t bytes_, size_ = 0;
  unsigned char *base_ = nullptr, *begin_;
};

// `count` numbers, NaN at first: what a kernel fails to write, or reads without being told to, shows.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : count_(count), pages_(static_cast<size_t>(count) * sizeof(T)) {
    const T nan = from_double<T>(std::numeric_limits<double>::quiet_NaN());
    for (int64_t i = 0; i < count; ++i) (*this)[i] = nan;
  }

  T* data() const { return static_cast<T*>(pages_.begin()); }
  int64_t size() const { return count_; }
  T& operator[](int64_t i) const { return data()[i]; }

  bool same_bits(const Buffer& other) const {
    return std::memcmp(data(), other.data(), static_cast<size_t>(count_) * sizeof(T)) == 0;
  }

  std::vector<double> values() const {
    std::vector<double> v(static_cast<size_t>(count_));
    for (int64_t i = 0; i < count_; ++i) v[static_cast<size_t>(i)] = to_double((*this)[i]);
    return v;
  }

 private:
  int64_t count_;
  Pages pages_;
};

}  // namespace gru_ext::cpu
