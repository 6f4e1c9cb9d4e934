// The times of calls.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace cpp_stream {

class Latency {
 public:
  // So many calls allocate nothing.
  void reserve(size_t calls) { microseconds_.reserve(calls); }
  size_t count() const { return microseconds_.size(); }

  template <typename Call>
  void measure(Call call) {
    const auto start = std::chrono::steady_clock::now();
    call();
    microseconds_.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }

  // In microseconds, what this share of the calls stayed below or at: 0.5 the median, 1 the maximum. Of one call at least.
  double quantile(double share) const {
    std::vector<double> sorted = microseconds_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[std::min(static_cast<size_t>(share * static_cast<double>(count())), count() - 1)];
  }

 private:
  std::vector<double> microseconds_;
};

}  // namespace cpp_stream
