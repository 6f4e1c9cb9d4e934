// The CPU kernels of packed_step: the stream library, with threads for large batches.
#include <ATen/MemoryOverlap.h>
#include <torch/library.h>

#include <cstring>

#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "ops/operands.h"
#include "ops/packed.h"

namespace gru_ext::cpu {
namespace {

constexpr int64_t kRowStep = 8;  // rows that gru_step_batch takes through the weights at once

// From one row of a state to the next, if the numbers of each row lie together, layer after layer; else 0.
int64_t row_stride(const PackedGRU& packed, const Tensor& state, bool batched) {
  const int64_t H = packed.hidden_size(), S = packed.info().state_size;
  const bool units = H == 1 || state.stride(-1) == 1, layers = S == H || state.stride(0) == H;
  if (!units || !layers || state.is_neg()) return 0;
  if (!batched || state.size(-2) <= 1) return S;
  return state.stride(-2) >= S ? state.stride(-2) : 0;
}

void begin_with(const OptionalTensor& h, const Tensor& state) {
  const size_t bytes = static_cast<size_t>(state.numel()) * sizeof(float);
  const bool plain = state.is_contiguous();
  if (!has(h)) {
    plain ? static_cast<void>(std::memset(write<float>(state), 0, bytes)) : static_cast<void>(state.zero_());
  } else if (plain && h->is_contiguous() && !h->is_neg()) {
    if (bytes != 0 && !h->is_same(state)) std::memmove(write<float>(state), read<float>(*h), bytes);
  } else if (!h->is_same(state)) {
    state.copy_(*h);
  }
}

// From h to the next state in `state`, whose rows are row_stride apart.
void advance(const PackedGRU& packed, const Tensor& x_, const OptionalTensor& h, const Tensor& state, int64_t state_row) {
  const bool batched = x_.dim() == 2;
  const Operand x = with_contiguous_rows(x_);
  begin_with(h, state);
  const int64_t N = batched ? x->size(0) : 1, x_row = batched ? x->stride(0) : 0;
  const float* from = read<float>(*x);
  float* to = write<float>(state);
  parallel_parts(N, kRowStep, packed.work(), [&](int64_t begin, int64_t end) {
    const Scratch<char> scratch(static_cast<int64_t>(packed.info().scratch_size));
    gru_step_batch(packed.model().packed(), end - begin, from + begin * x_row, x_row, to + begin * state_row, state_row,
                   scratch.data());
  });
}

Tensor packed_step(const PackedPtr& packed, const Tensor& x, const OptionalTensor& h) {
  check_step(*packed, x, h);
  const Tensor next = new_state(*packed, x);
  advance(*packed, x, h, next, packed->info().state_size);
  return next;
}

Tensor& packed_step_out(const PackedPtr& packed, const Tensor& x, const OptionalTensor& h, Tensor& out) {
  check_step(*packed, x, h);
  check_out(*packed, x, out);
  at::assert_no_internal_overlap(out);
  at::assert_no_overlap(out, x);
  if (has(h)) at::assert_no_partial_overlap(out, *h);
  if (const int64_t row = row_stride(*packed, out, x.dim() == 2))
    advance(*packed, x, h, out, row);
  else
    out.copy_(packed_step(packed, x, h));
  return out;
}

}  // namespace
}  // namespace gru_ext::cpu

TORCH_LIBRARY_IMPL(gru_ext, CPU, m) {
  gru_ext::register_packed_gru();
  m.impl("packed_step", gru_ext::cpu::packed_step);
  m.impl("packed_step.out", gru_ext::cpu::packed_step_out);
}
