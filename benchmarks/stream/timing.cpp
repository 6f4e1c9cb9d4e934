// Times steps from within C++, for library.py.
#include <chrono>
#include <cstdint>

#include "gru_ext/stream.h"

namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds(Clock::duration d) { return std::chrono::duration<double, std::nano>(d).count(); }

void step(const void* packed, int64_t N, const float* x, float* h, void* scratch) {
  if (N == 1)
    gru_step(packed, x, h, scratch);
  else
    gru_step_batch(packed, N, x, gru_describe(packed).input_size, h, gru_describe(packed).state_size, scratch);
}

}  // namespace

extern "C" {

// The mean time of a step of N streams in nanoseconds, over `calls` of them.
double gru_timing_mean(const void* packed, int64_t N, const float* x, float* h, void* scratch, int64_t calls) {
  const auto begin = Clock::now();
  for (int64_t i = 0; i < calls; ++i) step(packed, N, x, h, scratch);
  return nanoseconds(Clock::now() - begin) / static_cast<double>(calls);
}

// The time of each of `calls` steps in nanoseconds; reading the clock is in it.
void gru_timing_each(const void* packed, int64_t N, const float* x, float* h, void* scratch, int64_t calls, double* taken) {
  for (int64_t i = 0; i < calls; ++i) {
    const auto begin = Clock::now();
    step(packed, N, x, h, scratch);
    taken[i] = nanoseconds(Clock::now() - begin);
  }
}
}
