// The instruction-set levels: which exist, which run here, which is packed for.
#pragma once

#include "stream/kernels/kernels.h"

namespace gru_ext::stream {

// The kernels of level `index`, lowest first; null past the last. A level keeps its index for good: packed weights hold it.
const Kernels* level(unsigned index);

bool runs_here(unsigned index);

// The index of the best level that this processor runs and GRU_EXT_ISA allows; -1 if that names no level.
int chosen_level();

}  // namespace gru_ext::stream
