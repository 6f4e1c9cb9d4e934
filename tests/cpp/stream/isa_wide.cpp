// Vectors as wide as those of AVX-512 without any intrinsics, on any machine.
#include "cpu/kernels/isa.h"
#include "levels_wide.h"

#define GRU_EXT_LEVEL wide
#define GRU_EXT_KERNELS kernels_wide
#define GRU_EXT_VEC_BYTES 64
#define GRU_EXT_INTRINSICS 0
#define GRU_EXT_DOT 0
#include "stream/kernels/kernels-inl.h"
