// The kernels for AVX-512 F, BW, VL and DQ.
#include "cpu/kernels/isa.h"

#if GRU_EXT_X86
#define GRU_EXT_LEVEL avx512
#define GRU_EXT_KERNELS kernels_avx512
#define GRU_EXT_VEC_BYTES 64
#define GRU_EXT_INTRINSICS 512
#define GRU_EXT_DOT 0
GRU_EXT_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
#include "cpu/kernels/kernels-inl.h"
GRU_EXT_TARGET_END
#endif
