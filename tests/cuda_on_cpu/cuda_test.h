// What the tests of the CUDA kernels share. They know CUDA's runtime and kernels.h and nothing else of a device, so that they
// run on a GPU as well as with the kernels compiled for the CPU.
#pragma once

#include "check.h"
#include "device_numbers.h"

namespace gru_ext::cuda {

using cpu::expect;
using cpu::expect_near;
using cpu::kEpsilon;
using cpu::Random;

template <class T>
constexpr const char* kTypeName = cpu::Format<Host<T>>::kName;

inline void now_checking(const char* kernel, const char* type, const char* sizes) {
  cpu::now_checking(kernel, type, sizes, "cuda");
}

// How much of the work is done: a part is enough for tools that make every access a hundred times as slow.
struct Extent {
  bool few;
};

// A case in so many is done where only few are.
inline bool left_out(Extent extent, int number, int of) { return extent.few && number % of != 0; }

// The bits of all results of a kernel, as one number: runs whose threads and blocks took turns in another order, or that ran at
// another time, must give the same.
class Digest {
 public:
  template <class H>
  void add(const Buffer<H>& results) {
    for (int64_t i = 0; i < results.size(); ++i) {
      const double value = to_double(results[i]);
      uint64_t bits = 0;  // of every NaN: which one it is depends on the compiler
      if (!std::isnan(value)) std::memcpy(&bits, &value, sizeof bits);
      hash_ = (hash_ ^ bits) * 0x100000001b3;
      hash_ ^= hash_ >> 29;
    }
  }
  void print(const char* kernel, const char* type) const {
    std::printf("bits of %s %s: %016llx\n", kernel, type, static_cast<unsigned long long>(hash_));
  }

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

// Which arrays of a kernel begin one number past an address for whole packs: none, all, or one by itself.
struct Alignment {
  static constexpr int kNone = -1, kAll = -2;
  int misaligned;
  int64_t operator()(int array) const { return misaligned == kAll || misaligned == array ? 1 : 0; }
};

// All alignments of a kernel with so many arrays.
inline std::vector<Alignment> alignments(int arrays) {
  std::vector<Alignment> all = {{Alignment::kNone}, {Alignment::kAll}};
  for (int array = 0; array < arrays; ++array) all.push_back({array});
  return all;
}

inline int64_t strided(int64_t rows, int64_t row, int64_t columns) { return rows == 0 ? 0 : (rows - 1) * row + columns; }

template <class H>
void fill_rows(const Buffer<H>& buffer, int64_t rows, int64_t row, int64_t columns, Random& random) {
  // What lies between the rows stays NaN.
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t k = 0; k < columns; ++k) buffer[n * row + k] = from_double<H>(random(-2, 2));
}

// Whether all rows but one have the same bits.
template <class H>
bool same_other_rows(const Buffer<H>& a, const Buffer<H>& b, int64_t row, int64_t columns) {
  for (int64_t i = 0; i < a.size(); ++i)
    if (i / columns != row && std::memcmp(&a[i], &b[i], sizeof(H)) != 0) return false;
  return true;
}

void check_gates_forward(Extent extent);
void check_gates_backward(Extent extent);
void check_small_batch_forward(Extent extent);
void check_small_batch_weights(Extent extent);

// Every number type.
#define GRU_EXT_FOR_EVERY_TYPE(check, extent) \
  do {                                        \
    check<float>(extent);                     \
    check<double>(extent);                    \
    check<__half>(extent);                    \
    check<__nv_bfloat16>(extent);             \
  } while (false)

}  // namespace gru_ext::cuda
