// The kernels for AMX with BF16 beside those of avx512.
#include "cpu/kernels/isa.h"

#if GRU_EXT_HAS_TILES
#define GRU_EXT_LEVEL amx_bf16
#define GRU_EXT_KERNELS kernels_amx_bf16
#define GRU_EXT_VEC_BYTES 64
#define GRU_EXT_INTRINSICS 512
#define GRU_EXT_DOT 1
#define GRU_EXT_TILES 1
GRU_EXT_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")
#include "cpu/kernels/kernels-inl.h"
GRU_EXT_TARGET_END
#endif
