// What a core can do at most: limits.py builds this for the processor that it runs on.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef float Vec __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / sizeof(float);
// Independent sums: enough to keep two units busy that take four to six cycles for each operation.
constexpr int kSums = 12;

// What is measured must not be optimised away.
volatile float sink;

float total(const Vec (&sums)[kSums]) {
  float result = 0;
  for (const Vec& sum : sums)
    for (int i = 0; i < kLanes; ++i) result += sum[i];
  return result;
}

// How many floats a pass moves at a time, and of `count` altogether: what is less than that is left out.
constexpr size_t kStep = size_t{kSums} * kLanes;
size_t whole_steps(size_t count) { return count / kStep * kStep; }

// Reads `count` floats from one end or the other, block by block, and copies them or adds them up.
template <bool copies>
void pass(const float* memory, float* copy, size_t count, bool from_end) {
  constexpr size_t kBlock = 48 * 1024 / sizeof(float) / kStep * kStep;
  const size_t whole = whole_steps(count), blocks = (whole + kBlock - 1) / kBlock;
  Vec sums[kSums] = {};
  for (size_t b = 0; b < blocks; ++b) {
    const size_t begin = (from_end ? blocks - 1 - b : b) * kBlock, end = whole - begin < kBlock ? whole : begin + kBlock;
    for (size_t i = begin; i < end; i += kStep)
#pragma GCC unroll 12
      for (int s = 0; s < kSums; ++s) {
        Vec v;
        __builtin_memcpy(&v, memory + i + s * kLanes, sizeof v);
        if (copies)
          __builtin_memcpy(copy + i + s * kLanes, &v, sizeof v);
        else
          sums[s] += v;
      }
  }
  if (!copies) sink = total(sums);
}

// Calls once() until the time is up; the seconds of each call.
template <class Once>
std::vector<double> times_of(double seconds, const Once& once) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  std::vector<double> times;
  do {
    const auto before = Clock::now();
    once();
    times.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  return times;
}

// What arithmetic units can do does not depend on luck, so the best counts.
template <class Once>
double best_rate(double units, double seconds, const Once& once) {
  const std::vector<double> times = times_of(seconds, once);
  return units / *std::min_element(times.begin(), times.end());
}

// What a cache holds that others use too does: of 50 MB in one of 32 MB, once in a while twice as much is found there.
template <class Once>
double median_rate(double units, double seconds, const Once& once) {
  std::vector<double> times = times_of(seconds, once);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return units / times[times.size() / 2];
}

}  // namespace

extern "C" {

// Float32 multiplications and additions per second.
double gru_limits_operations(double seconds) {
  constexpr long kRounds = 100'000;
  return best_rate(2.0 * kRounds * kSums * kLanes, seconds, [] {
    Vec sums[kSums];
    for (int s = 0; s < kSums; ++s) sums[s] = Vec{} + float(s);  // equal sums would be computed once
    const Vec a = Vec{} + 1.0000001f, b = Vec{} + 1e-9f;
    for (long i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
      for (int s = 0; s < kSums; ++s) sums[s] = sums[s] * a + b;
    sink = total(sums);
  });
}

// Bytes per second when the same `count` floats are read again and again, to the end and back in turn: what was read last may
// still be in a cache that does not hold all.
double gru_limits_read(const float* memory, size_t count, double seconds) {
  const size_t repeats = 1 + 2'000'000 / (count + 1);
  return median_rate(double(repeats) * whole_steps(count) * sizeof(float), seconds, [&] {
    for (size_t r = 0; r < repeats; ++r) pass<false>(memory, nullptr, count, r % 2 != 0);
  });
}

// As much per second when they are read, read back and copied again and again, as a step that trains does with its weights and
// gradients.
double gru_limits_train(const float* memory, float* copy, size_t count, double seconds) {
  const size_t repeats = 1 + 500'000 / (count + 1);
  return median_rate(double(repeats) * whole_steps(count) * sizeof(float), seconds, [&] {
    for (size_t r = 0; r < repeats; ++r) {
      pass<false>(memory, nullptr, count, false);
      pass<true>(memory, copy, count, true);
    }
  });
}

// Reads `count` floats once, from the end if from_end, and copies them unless `copy` is null.
void gru_limits_pass(const float* memory, float* copy, size_t count, int from_end) {
  if (copy == nullptr)
    pass<false>(memory, nullptr, count, from_end != 0);
  else
    pass<true>(memory, copy, count, from_end != 0);
}
}
