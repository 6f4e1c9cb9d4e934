// Which level's kernels run: the best that the processor has and GRU_EXT_ISA allows.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels/kernels.h"

namespace gru_ext::cpu {

// Chosen at the first call, the same from then on. GRU_EXT_ISA is a cap: a level above what the processor has changes nothing.
// Throws std::invalid_argument if it names no level.
const Kernels& kernels();

// All levels that this processor can run, lowest first.
std::vector<const Kernels*> runnable_kernels();

}  // namespace gru_ext::cpu
