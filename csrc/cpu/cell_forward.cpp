// The CPU kernels of the forward ops.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "cpu/operands.h"
#include "cpu/parallel.h"
#include "ops/forward_ops.h"

namespace gru_ext::cpu {
namespace {

// Units per part of the dot kernel: two cache lines of floats, so that threads do not share one.
constexpr int64_t kDotStep = 32;

template <class T>
void forward(const CellKernels<T>& k, const ForwardArgs<T>& p) {
  const int64_t K = p.I + p.H;
  if (p.N <= k.max_dot_rows) {
    parallel_parts(p.H, kDotStep, 3 * p.N * K, [&](int64_t begin, int64_t end) { k.forward_dots(p, begin, end); });
    return;
  }
  const int64_t units = k.panel_units, panels = (p.H + units - 1) / units;
  parallel_parts(panels, 1, 3 * p.N * K * units, [&](int64_t begin, int64_t end) {
    Scratch<Compute<T>> scratch((3 * units + k.panel_rows) * K);
    k.forward_panels(p, begin, end, scratch.data());
  });
}

// A Step of ops/forward_ops.h.
std::tuple<Tensor, Tensor> step(const Tensor& input, const Tensor& hx, const Tensor& w_ih_, const Tensor& w_hh_,
                                const OptionalTensor& b_ih_, const OptionalTensor& b_hh_, bool save) {
  check_sizes(input, hx, w_ih_, w_hh_);
  const Tensor x = with_contiguous_rows(input), h = with_contiguous_rows(hx), w_ih = dense(w_ih_), w_hh = dense(w_hh_);
  const OptionalTensor b_ih = dense(b_ih_), b_hh = dense(b_hh_);
  const int64_t N = h.size(0), H = h.size(1);
  const Tensor hy = at::empty({N, H}, h.options());
  const Tensor saved = save ? at::empty({N, 4 * H}, h.options()) : Tensor();
  with_kernels(h.scalar_type(), [&](const auto& kernels) {
    using T = NumberOf<decltype(kernels)>;
    forward<T>(kernels, {read<T>(x), read<T>(h), read<T>(w_ih), read<T>(w_hh), read<T>(b_ih), read<T>(b_hh), write<T>(hy),
                         write<T>(saved), N, x.size(1), H, x.stride(0), h.stride(0)});
  });
  return {hy, saved};
}

}  // namespace
}  // namespace gru_ext::cpu

TORCH_LIBRARY_IMPL(gru_ext, CPU, m) {
  m.impl("_cell", gru_ext::cell_from<gru_ext::cpu::step>);
  m.impl("_cell_forward", gru_ext::cell_forward_from<gru_ext::cpu::step>);
}
