// The levels under test: those of the library that this processor runs, and one of the tests' own.
#pragma once

#include "cpu/kernels/kernels.h"

namespace gru_ext::cpu {

// Vectors as wide as those of AVX-512 without any intrinsics: its register tiles, transpositions and row ends, on any machine.
extern const Kernels kernels_wide;

}  // namespace gru_ext::cpu
