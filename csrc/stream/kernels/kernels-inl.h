// The kernels of one level, and their table. Included once by each isa_LEVEL.cpp, inside its target, with GRU_EXT_LEVEL,
// GRU_EXT_KERNELS, GRU_EXT_VEC_BYTES, GRU_EXT_INTRINSICS (0, 256 or 512) and GRU_EXT_DOT defined. GRU_EXT_DOT is 1 where the
// level has instructions that add up products of bfloat16 and of 8-bit numbers. Nothing here may include a header of std.
#define GRU_EXT_STRING_(text) #text
#define GRU_EXT_STRING(text) GRU_EXT_STRING_(text)

// Inside the target too: what it calls can only be inlined into functions of the same target.
#include "gates.h"

namespace gru_ext::stream {
namespace {

using cpu::BFloat16;
using cpu::Compute;
using cpu::Half;

// Each of these builds on the ones above it.
#include "cpu/kernels/vec.h"
#include "cpu/kernels/memory.h"
#include "cpu/kernels/activations.h"
#if GRU_EXT_DOT
#include "cpu/kernels/bf16_dot.h"
#endif
#include "stream/kernels/weights.h"
#include "stream/kernels/weights_bf16.h"
#include "stream/kernels/weights_int8.h"
#include "stream/kernels/product.h"
#include "stream/kernels/layer.h"

}  // namespace

const Kernels GRU_EXT_KERNELS = {GRU_EXT_STRING(GRU_EXT_LEVEL),
                                 VecF::kLanes,
                                 GRU_EXT_DOT != 0,
                                 {product<F32Weights>, product<Bf16Weights>, product<Int8Weights>},
                                 next_states,
                                 reset_states,
                                 next_states_after_reset};

}  // namespace gru_ext::stream
