// Which level's kernels run: the best that the processor has and GRU_EXT_ISA allows.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels/kernels.h"

namespace gru_ext::cpu {

// Chosen at the first call, the same from then on.
// Throws std::invalid_argument if GRU_EXT_ISA names no level, or one that this processor cannot run.
const Kernels& kernels();

// All levels that this processor can run, lowest first.
std::vector<const Kernels*> runnable_kernels();

}  // namespace gru_ext::cpu
