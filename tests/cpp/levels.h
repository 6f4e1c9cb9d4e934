// The levels under test: those of the library that this processor runs, and three of the tests' own.
#pragma once

#include "cpu/kernels/kernels.h"

namespace gru_ext::cpu {

// Vectors as wide as those of AVX-512 without any intrinsics: its register tiles, transpositions and row ends, on any machine.
extern const Kernels kernels_wide;

// Products of pairs of bfloat16 in plain code, at that width.
extern const Bf16Dots kernels_wide_dot;

// The same with registers of whole tiles, as arrays.
extern const Bf16Dots kernels_wide_tiles;

}  // namespace gru_ext::cpu
