#include "cpu/kernels/isa.h"
#include "levels.h"

#define GRU_EXT_LEVEL wide_tiles
#define GRU_EXT_KERNELS kernels_wide_tiles
#define GRU_EXT_VEC_BYTES 64
#define GRU_EXT_INTRINSICS 0
#define GRU_EXT_DOT 1
#define GRU_EXT_TILES 1
#include "cpu/kernels/kernels-inl.h"
