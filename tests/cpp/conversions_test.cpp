// BFloat16 and Half: what a level makes of every 16-bit pattern, and how it rounds float32 to them.
//
// Compiled once per level with -DGRU_EXT_VEC_BYTES, -DGRU_EXT_INTRINSICS and, above the baseline, -DGRU_EXT_FEATURES="...".
// The reference is formats.h.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "cpu/kernels/isa.h"
#include "formats.h"

#ifdef GRU_EXT_FEATURES
GRU_EXT_TARGET_BEGIN(GRU_EXT_FEATURES)
#endif
namespace gru_ext::cpu {
namespace {

#include "cpu/kernels/vec.h"
#include "cpu/kernels/memory.h"

constexpr int kLanes = VecF::kLanes;

// Walks all float32 patterns at this distance: a prime, so that the low bits take all values.
constexpr uint64_t kStride = 997;

float from_pattern(uint32_t pattern) {
  float f;
  std::memcpy(&f, &pattern, sizeof f);
  return f;
}

uint32_t pattern_of(float f) {
  uint32_t pattern;
  std::memcpy(&pattern, &f, sizeof pattern);
  return pattern;
}

template <class T>
bool is_nan(T t) {
  return std::isnan(to_double(t));
}

// A 16-bit number is a float32 exactly, and comes back as it was. NaN stays NaN.
template <class T>
bool hold_widening() {
  int wrong = 0;
  for (int first = 0; first < 0x10000; first += kLanes) {
    T numbers[kLanes], back[kLanes];
    float wide[kLanes];
    for (int i = 0; i < kLanes; ++i) numbers[i].bits = static_cast<uint16_t>(first + i);
    store(wide, load(numbers));
    store(back, load(numbers));
    for (int i = 0; i < kLanes; ++i) {
      const double exact = to_double(numbers[i]);
      const bool good = std::isnan(exact) ? std::isnan(wide[i]) && is_nan(back[i])
                                          : wide[i] == exact && std::signbit(wide[i]) == std::signbit(exact) &&
                                                back[i].bits == numbers[i].bits;
      if (!good && ++wrong <= 10)
        std::printf("%s %04x became %a, and %04x again\n", Format<T>::kName, numbers[i].bits, wide[i], back[i].bits);
    }
  }
  std::printf("%s: all 65536 patterns to float and back: %s\n", Format<T>::kName, wrong ? "FAILED" : "ok");
  return wrong == 0;
}

// The lanes of x, rounded: the number wrong.
template <class T>
int64_t wrong_roundings(const float (&x)[kLanes], int64_t before) {
  int64_t wrong = 0;
  T narrow[kLanes];
  store(narrow, load(x));
  for (int i = 0; i < kLanes; ++i) {
    const T exact = from_double<T>(x[i]);
    const bool good = std::isnan(x[i]) ? is_nan(narrow[i]) : narrow[i].bits == exact.bits;
    if (!good && ++wrong + before <= 10)
      std::printf("%a became %s %04x, not %04x\n", x[i], Format<T>::kName, narrow[i].bits, exact.bits);
  }
  return wrong;
}

// Every number of T, the middle between it and the next, and the float32 on each side of both: zeros, subnormal numbers, ties
// and overflow are among them. Then a walk through all float32.
template <class T>
bool hold_rounding() {
  int64_t wrong = 0;
  float x[kLanes];
  int lane = 0;
  const auto add = [&](uint32_t pattern) {
    x[lane++] = from_pattern(pattern);
    if (lane < kLanes) return;
    lane = 0;
    wrong += wrong_roundings<T>(x, wrong);
  };
  for (int bits = 0; bits < 0x10000; ++bits) {
    const T here = {static_cast<uint16_t>(bits)}, next = {static_cast<uint16_t>(bits + 1)};
    const double a = to_double(here), b = to_double(next);
    // Past the largest number the next one would be as far again; the middle is where infinity begins.
    const double step = std::isinf(b) ? a - to_double(T{static_cast<uint16_t>(bits - 1)}) : b - a;
    for (const double at : {a, a + step / 2})
      for (const uint32_t beside : {0u, 1u, ~0u}) add(pattern_of(static_cast<float>(at)) + beside);
  }
  for (uint64_t pattern = 0; pattern < uint64_t{1} << 32; pattern += kStride) add(static_cast<uint32_t>(pattern));
  while (lane > 0) add(0);
  std::printf("%s: rounding to nearest, ties to even: %s\n", Format<T>::kName, wrong ? "FAILED" : "ok");
  return wrong == 0;
}

int run() {
  bool good = hold_widening<BFloat16>();
  good &= hold_widening<Half>();
  good &= hold_rounding<BFloat16>();
  good &= hold_rounding<Half>();
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace gru_ext::cpu
#ifdef GRU_EXT_FEATURES
GRU_EXT_TARGET_END
#endif

int main() { return gru_ext::cpu::run(); }
