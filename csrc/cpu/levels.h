// The kernels that run, for code that speaks torch.
#pragma once

#include "cpu/kernels/select.h"

namespace gru_ext::cpu {

// kernels(), with a ValueError for a GRU_EXT_ISA that names no level.
const Kernels& chosen_kernels();

}  // namespace gru_ext::cpu
