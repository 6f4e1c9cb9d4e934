// What the kernel tests share: which levels run, random numbers, parts of a range, and the comparison with the reference.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "buffer.h"
#include "formats.h"
#include "levels.h"

namespace gru_ext::cpu {

template <class T>
struct Level {
  const char* name;
  const CellKernels<T>& kernels;
};

template <class T>
std::vector<Level<T>> of_type(const std::vector<const Kernels*>& levels) {
  std::vector<Level<T>> result;
  for (const Kernels* k : levels) {
    if constexpr (std::is_same_v<T, float>) result.push_back({k->level, k->f32});
    if constexpr (std::is_same_v<T, double>) result.push_back({k->level, k->f64});
    if constexpr (std::is_same_v<T, BFloat16>) result.push_back({k->level, k->bf16});
    if constexpr (std::is_same_v<T, Half>) result.push_back({k->level, k->f16});
  }
  return result;
}

// Uniform random numbers in [low, high], from a fixed start.
class Random {
 public:
  double operator()(double low, double high);
  // A whole number in [0, count).
  int64_t below(int64_t count);

  template <class T>
  void fill(const Buffer<T>& buffer, double low, double high) {
    for (int64_t i = 0; i < buffer.size(); ++i) buffer[i] = from_double<T>((*this)(low, high));
  }

 private:
  uint64_t state_ = 0x9e3779b97f4a7c15;
};

// [0, size) in up to `most` parts with random borders, the last part first: a part that writes into the next one spoils it.
std::vector<std::pair<int64_t, int64_t>> random_parts(Random& random, int64_t size, int most);

// Says what the checks that follow are about, in messages and if the program is stopped: "forward_dots", "N 3 I 1 H 8", "avx2".
void now_checking(const char* kernel, const char* type, const char* sizes, const char* level);
void fail(const char* what);
// An error as a part of what is tolerated; the worst is kept for each kernel and type.
void record(double part_of_tolerance);
// Prints one line for each kernel and type; false if anything failed.
bool summary();

inline void expect(bool good, const char* what) {
  if (!good) fail(what);
}

// Each number within its tolerance of what is expected, beside the rounding of T; infinities and NaN in the same places.
template <class T>
void expect_near(const char* what, const Buffer<T>& got, const std::vector<double>& expected,
                 const std::function<double(size_t)>& tolerance) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const double value = to_double(got[static_cast<int64_t>(i)]), want = expected[i];
    if (std::isnan(want) ? std::isnan(value) : value == want) {
      record(0);
      continue;
    }
    // The rounding of a 16-bit result is met in full now and then; it is the rest that tells how good the arithmetic is.
    const double error = std::fabs(value - want) - rounding<T>(want), allowed = tolerance(i);
    if (!(error <= allowed)) {  // NaN too
      char text[200];
      std::snprintf(text, sizeof text, "%s[%zu] is %.9g, not %.9g; %.3g is tolerated", what, i, value, want,
                    allowed + rounding<T>(want));
      return fail(text);
    }
    record(error <= 0 ? 0 : error / allowed);
  }
}

// The unit roundoff times two of the type that T is computed in.
template <class T>
constexpr double kEpsilon = std::numeric_limits<Compute<T>>::epsilon();

}  // namespace gru_ext::cpu
