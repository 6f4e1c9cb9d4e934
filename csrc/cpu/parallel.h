// How the output of a kernel is divided among threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace gru_ext::cpu {

// Below this a second thread costs more than it saves: waking it takes some 5 to 20 microseconds, in which one core does about
// this many multiply-adds.
constexpr int64_t kMinWorkPerThread = 500'000;

// Whether more than one thread gets a part of so many multiply-adds.
constexpr bool worth_dividing(int64_t work) { return work > kMinWorkPerThread; }

// The share of [0, size) that the busiest thread has when it is divided at multiples of `step`; of nothing, 1.
inline double largest_share(int64_t size, int64_t step) {
  const int64_t largest = at::divup(at::divup(size, step), at::get_num_threads()) * step;
  return largest < size ? static_cast<double>(largest) / static_cast<double>(size) : 1;
}

// Calls f(begin, end) for parts of [0, size) whose borders are multiples of `step`; `work` is the number of multiply-adds in
// one element of the range.
template <class F>
void parallel_parts(int64_t size, int64_t step, int64_t work, const F& f) {
  const int64_t grain = kMinWorkPerThread / std::max<int64_t>(1, work * step);
  at::parallel_for(0, at::divup(size, step), std::max<int64_t>(1, grain),
                   [&](int64_t begin, int64_t end) { f(begin * step, std::min(end * step, size)); });
}

}  // namespace gru_ext::cpu
