// The kernels for AVX2, FMA and F16C.
#include "cpu/kernels/isa.h"

#if GRU_EXT_X86
#define GRU_EXT_LEVEL avx2
#define GRU_EXT_KERNELS kernels_avx2
#define GRU_EXT_VEC_BYTES 32
#define GRU_EXT_INTRINSICS 256
#define GRU_EXT_DOT 0
GRU_EXT_TARGET_BEGIN("avx2,fma,f16c")
#include "cpu/kernels/kernels-inl.h"
GRU_EXT_TARGET_END
#endif
