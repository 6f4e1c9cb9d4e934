// The kernels for the baseline of the architecture: SSE2 on x86-64, NEON on aarch64.
#include "cpu/kernels/isa.h"

#define GRU_EXT_LEVEL default
#define GRU_EXT_KERNELS kernels_default
#define GRU_EXT_VEC_BYTES 16
#define GRU_EXT_INTRINSICS 0
#define GRU_EXT_DOT 0
#include "cpu/kernels/kernels-inl.h"
