// Walks every float32 through sigmoid and tanh of the kernels and holds the error bounds that activations.h states.
//
// Compiled once per level with -DGRU_EXT_VEC_BYTES, -DGRU_EXT_INTRINSICS and, above the baseline, -DGRU_EXT_FEATURES="...".
// The reference is the double version of the same functions, which is itself held against libm on a sample first.
//   activations_test [STRIDE]: every STRIDE-th bit pattern, 1 by default
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "cpu/kernels/isa.h"

#ifdef GRU_EXT_FEATURES
GRU_EXT_TARGET_BEGIN(GRU_EXT_FEATURES)
#endif
namespace gru_ext::cpu {
namespace {

#include "cpu/kernels/vec.h"
#include "cpu/kernels/memory.h"
#include "cpu/kernels/activations.h"

constexpr double kBound = 3;  // units in the last place, as activations.h says

struct Worst {
  double ulp = 0;
  float at = 0;
  bool unordered = false;  // a NaN came out for a number, or a number for a NaN
};

struct Sigmoid {
  template <class S>
  GRU_EXT_FN Vec<S> operator()(Vec<S> x) const {
    return sigmoid(x);
  }
};
struct Tanh {
  template <class S>
  GRU_EXT_FN Vec<S> operator()(Vec<S> x) const {
    return tanh(x);
  }
};

// One unit in the last place of y, as a normal number at least.
double unit(float y) {
  const float magnitude = std::fabs(y) < FLT_MIN ? FLT_MIN : std::fabs(y);
  return std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

GRU_EXT_FN VecD magnitude(VecD a) { return VecD::from_bits(a.bits() & ~VecD::broadcast(-0.0).bits()); }

// As many floats as a vector has doubles.
GRU_EXT_FN VecD widened(const float* p) {
  typedef float Floats __attribute__((vector_size(GRU_EXT_VEC_BYTES / 2)));
  Floats floats;
  __builtin_memcpy(&floats, p, sizeof floats);
  return {__builtin_convertvector(floats, VecD::Raw)};
}

// Whether every lane has a relative error of at most `relative`, or is too small for a normal float: that may become 0.
GRU_EXT_FN bool all_within(VecD y, VecD reference, double relative) {
  const VecD size = magnitude(reference), smallest = VecD::broadcast(FLT_MIN);
  const auto subnormal = (size.v < smallest.v) & (magnitude(y).v < smallest.v);
  const auto good = subnormal | (magnitude(y - reference).v <= (size * VecD::broadcast(relative)).v);
  int64_t all = -1;
  for (int i = 0; i < VecD::kLanes; ++i) all &= good[i];
  return all != 0;
}

// The exact error of a lane, in units of the last place.
void check_lane(float x, float y, double reference, Worst& worst) {
  if (std::isnan(x) || std::isnan(y) || std::isnan(reference)) {
    worst.unordered |= std::isnan(x) != std::isnan(y);
    return;
  }
  if (std::fabs(reference) < FLT_MIN && std::fabs(y) < FLT_MIN) return;
  const double ulp = std::fabs(y - reference) / unit(static_cast<float>(reference));
  if (ulp > worst.ulp) worst = {ulp, x, worst.unordered};
}

// Lanes x ... against the double function: exactly only where the error is near the worst so far.
template <class F>
GRU_EXT_FN void check(const float* x, const F& f, Worst& worst) {
  float y[VecF::kLanes];
  store(y, f(load(x)));
  for (int first = 0; first < VecF::kLanes; first += VecD::kLanes) {
    const VecD exact = f(widened(x + first));
    if (all_within(widened(y + first), exact, worst.ulp * 0x1p-24)) continue;
    double reference[VecD::kLanes];
    store(reference, exact);
    for (int i = 0; i < VecD::kLanes; ++i) check_lane(x[first + i], y[first + i], reference[i], worst);
  }
}

template <class F>
Worst walk(uint64_t begin, uint64_t end, uint64_t stride, const F& f) {
  Worst worst;
  float x[VecF::kLanes];
  for (uint64_t bits = begin; bits < end; bits += stride * VecF::kLanes) {
    for (int i = 0; i < VecF::kLanes; ++i) {
      const uint32_t pattern = static_cast<uint32_t>(bits + stride * static_cast<uint64_t>(i));
      std::memcpy(&x[i], &pattern, sizeof pattern);
    }
    check(x, f, worst);
  }
  return worst;
}

template <class F>
bool hold(const char* name, uint64_t stride, const F& f) {
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  const uint64_t part = (uint64_t{1} << 32) / threads;
  std::vector<Worst> parts(threads);
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads; ++t)
    pool.emplace_back([&, t] { parts[t] = walk(t * part, t + 1 == threads ? uint64_t{1} << 32 : (t + 1) * part, stride, f); });
  for (auto& thread : pool) thread.join();
  Worst worst;
  for (const Worst& w : parts) {
    if (w.ulp > worst.ulp) worst = {w.ulp, w.at, worst.unordered};
    worst.unordered |= w.unordered;
  }
  const bool good = worst.ulp <= kBound && !worst.unordered;
  std::printf("%s float: largest error %.3f units in the last place, at %a; bound %.1f; NaN %s: %s\n", name, worst.ulp,
              worst.at, kBound, worst.unordered ? "lost" : "kept", good ? "ok" : "FAILED");
  return good;
}

// The double functions against libm's long double, on normal numbers of every magnitude that matters.
template <class F, class L>
bool hold_double(const char* name, const F& f, const L& libm) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-40, 9.5), sign(-1, 1);
  double worst = 0;
  for (int sample = 0; sample < 1'000'000; ++sample) {
    double x[VecD::kLanes], y[VecD::kLanes];
    for (double& v : x) v = std::copysign(std::exp2(exponent(random)), sign(random));
    store(y, f(load(x)));
    for (int i = 0; i < VecD::kLanes; ++i) {
      const long double exact = libm(static_cast<long double>(x[i]));
      if (std::fabs(exact) < DBL_MIN && std::fabs(y[i]) < DBL_MIN) continue;
      const double unit = std::ldexp(1.0, std::ilogb(std::fmax(static_cast<double>(std::fabs(exact)), DBL_MIN)) - 52);
      worst = std::fmax(worst, static_cast<double>(std::fabs(y[i] - exact)) / unit);
    }
  }
  const bool good = worst <= kBound;
  std::printf("%s double: largest error %.3f units in the last place of a sample; bound %.1f: %s\n", name, worst, kBound,
              good ? "ok" : "FAILED");
  return good;
}

// Infinities, zeros and NaN come out as torch has them.
bool hold_limits() {
  float x[VecF::kLanes] = {INFINITY, -INFINITY, 0.0f, -0.0f}, s[VecF::kLanes], t[VecF::kLanes];
  store(s, sigmoid(load(x)));
  store(t, tanh(load(x)));
  const bool good = s[0] == 1 && s[1] == 0 && s[2] == 0.5f && s[3] == 0.5f && t[0] == 1 && t[1] == -1 && t[2] == 0 &&
                    t[3] == 0 && !std::signbit(t[2]) && std::signbit(t[3]);
  std::printf("infinities and zeros: %s\n", good ? "ok" : "FAILED");
  return good;
}

int run(uint64_t stride) {
  bool good = hold_limits();
  good &= hold_double("sigmoid", Sigmoid{}, [](long double x) { return 1 / (1 + std::exp(-x)); });
  good &= hold_double("tanh", Tanh{}, [](long double x) { return std::tanh(x); });
  good &= hold("sigmoid", stride, Sigmoid{});
  good &= hold("tanh", stride, Tanh{});
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace gru_ext::cpu
#ifdef GRU_EXT_FEATURES
GRU_EXT_TARGET_END
#endif

int main(int argc, char** argv) { return gru_ext::cpu::run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1); }
