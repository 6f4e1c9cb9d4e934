// The kernels of one level, and their table. Included once by each isa_LEVEL.cpp, inside its target, with GRU_EXT_LEVEL,
// GRU_EXT_KERNELS, GRU_EXT_VEC_BYTES, GRU_EXT_INTRINSICS (0, 256 or 512) and GRU_EXT_DOT defined. GRU_EXT_DOT is 1 where the
// level has instructions that add up products of bfloat16: the table is of the kernels that use them alone. GRU_EXT_TILES is 1
// where those are of whole tiles, else it need not be defined. No include guard is needed and nothing here may include a header
// of std.
#define GRU_EXT_STRING_(text) #text
#define GRU_EXT_STRING(text) GRU_EXT_STRING_(text)

// Inside the target too: what it calls can only be inlined into functions of the same target.
#include "gates.h"

namespace gru_ext::cpu {
namespace {

// Each of these builds on the ones above it.
#include "cpu/kernels/vec.h"
#include "cpu/kernels/memory.h"
#include "cpu/kernels/lane_sums.h"
#include "cpu/kernels/lane_panels.h"
#include "cpu/kernels/activations.h"
#include "cpu/kernels/tile.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/step.h"
#include "cpu/kernels/dots.h"
#if GRU_EXT_DOT
#include "cpu/kernels/bf16_dot.h"
#include "cpu/kernels/bf16_dots.h"
#endif
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/block_sums.h"
#if GRU_EXT_TILES
#include "cpu/kernels/tile_registers.h"
#include "cpu/kernels/forward_tiles.h"
#else
#include "cpu/kernels/forward_panels.h"
#include "cpu/kernels/forward.h"
#endif
#include "cpu/kernels/gates_backward.h"
#include "cpu/kernels/matmul_short.h"
#include "cpu/kernels/matmul_operands.h"
#if GRU_EXT_DOT
#include "cpu/kernels/bf16_operands.h"
#endif
#if GRU_EXT_TILES
#include "cpu/kernels/matmul_tiles.h"
#endif
#include "cpu/kernels/matmul.h"

template <class T>
constexpr CellKernels<T> cell_kernels() {
  CellKernels<T> k{};
  k.forward = forward<T>;
  k.forward_scratch = forward_scratch<T>;
  k.gates_backward = gates_backward<T>;
  k.bias_gradients = bias_gradients<T>;
  k.matmul = matmul<T>;
  k.matmul_scratch = matmul_scratch<T>;
  k.round = round<T>;
  k.add = add<Compute<T>>;
  return k;
}

}  // namespace

#if GRU_EXT_DOT
const Bf16Dots GRU_EXT_KERNELS = {GRU_EXT_STRING(GRU_EXT_LEVEL), cell_kernels<BFloat16>()};
#else
const Kernels GRU_EXT_KERNELS = {GRU_EXT_STRING(GRU_EXT_LEVEL), cell_kernels<float>(), cell_kernels<double>(),
                                 cell_kernels<BFloat16>(), cell_kernels<Half>()};
#endif

}  // namespace gru_ext::cpu
