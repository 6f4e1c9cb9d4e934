// The kernels for AVX-512 with BF16 beside those of avx512. The level is named as that of the stream library, which also uses
// VNNI.
#include "cpu/kernels/isa.h"

#if GRU_EXT_X86
#define GRU_EXT_LEVEL avx512_vnni_bf16
#define GRU_EXT_KERNELS kernels_avx512_vnni_bf16
#define GRU_EXT_VEC_BYTES 64
#define GRU_EXT_INTRINSICS 512
#define GRU_EXT_DOT 1
GRU_EXT_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")
#include "cpu/kernels/kernels-inl.h"
GRU_EXT_TARGET_END
#endif
