// How the output of a kernel is divided among threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace gru_ext::cpu {

// Below this a second thread costs more than it saves: waking it takes some 5 to 20 microseconds, in which one core does about
// this many multiply-adds.
constexpr int64_t kMinWorkPerThread = 500'000;

// The threads that so many multiply-adds are worth.
constexpr int64_t most_shares(int64_t work) { return std::max<int64_t>(1, work / kMinWorkPerThread); }

// Whether more than one thread gets a part of so many multiply-adds.
constexpr bool worth_dividing(int64_t work) { return work > kMinWorkPerThread; }

// Of so many equal shares of some work, one.
struct Share {
  int64_t index = 0, count = 1;

  // Its part of [0, size), whose borders are multiples of `step`.
  std::pair<int64_t, int64_t> of(int64_t size, int64_t step) const {
    const int64_t length = at::divup(at::divup(size, step), count) * step;
    return {std::min(index * length, size), std::min((index + 1) * length, size)};
  }

  // The part of [0, size) that the largest share has; of nothing, 1.
  double largest(int64_t size, int64_t step) const {
    const int64_t length = Share{0, count}.of(size, step).second;
    return length < size ? static_cast<double>(length) / static_cast<double>(size) : 1;
  }
};

// Calls f(share) for as many shares of so many multiply-adds as are worth a thread each, at once.
template <class F>
void parallel_shares(int64_t work, const F& f) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t count = std::min(most_shares(work), threads);
  if (count == 1) return f(Share{});
  at::parallel_for(0, count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(Share{i, count});
  });
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
