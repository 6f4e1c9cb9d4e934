// The order in which blocks run, and the threads of a block between two points where they meet: CUDA promises none, so results
// must not depend on it. CUDA_ON_CPU_ORDER is forward, reverse, or a number, from which shuffled orders follow.
#pragma once

#include <cstddef>
#include <vector>

namespace cuda_on_cpu {

// 0 ... count - 1; a shuffled order is another one at every call.
std::vector<size_t> next_order(size_t count);

}  // namespace cuda_on_cpu
