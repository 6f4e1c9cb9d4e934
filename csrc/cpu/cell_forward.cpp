// The CPU kernels of the forward ops.
#include <torch/library.h>

#include <algorithm>
#include <utility>

#include "cpu/operands.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "ops/forward_ops.h"
#include "turns.h"

namespace gru_ext::cpu {
namespace {

// Units per part: a cache line of floats, so that threads share none but at the ends of rows. Rows per part: those of the
// kernel's largest tile; with twice as many 200 rows go 108 to 92, which takes two threads 1.06 times as long.
constexpr int64_t kUnitStep = 16, kRowStep = 6;

template <class T>
void forward(const CellKernels<T>& k, const ForwardArgs<T>& p) {
  const auto units = [&](const ForwardArgs<T>& rows, int64_t begin, int64_t end) {
    const Scratch<Compute<T>> scratch(k.forward_scratch(rows.N, p.I, p.H));
    k.forward(rows, begin, end, scratch.data());
  };
  const int64_t K = p.I + p.H;
  if (!worth_dividing(3 * p.N * p.H * K)) return units(p, 0, p.H);
  // Threads that divide the units each read all rows, those that divide the rows all weights. If they share no cache, it also
  // counts that the backward step has its rows by threads too.
  const Share one_of{0, at::get_num_threads()};
  const double of_units = one_of.largest(p.H, kUnitStep), of_rows = one_of.largest(p.N, kRowStep);
  if (p.N < 3 * p.H ? of_units <= of_rows : of_units < 0.95 * of_rows)
    parallel_parts(p.H, kUnitStep, 3 * p.N * K, [&](int64_t begin, int64_t end) { units(p, begin, end); });
  else
    parallel_parts(p.N, kRowStep, 3 * p.H * K, [&](int64_t begin, int64_t end) { units(p.rows(begin, end), 0, p.H); });
}

// A Step of ops/forward_ops.h.
std::tuple<Tensor, Tensor> step(const Tensor& input, const Tensor& hx, const Tensor& w_ih_, const Tensor& w_hh_,
                                const OptionalTensor& b_ih_, const OptionalTensor& b_hh_, bool save) {
  check_sizes(input, hx, w_ih_, w_hh_);
  const Operand x = with_contiguous_rows(input), h = with_contiguous_rows(hx), w_ih = dense(w_ih_), w_hh = dense(w_hh_);
  const Operand b_ih = dense(b_ih_), b_hh = dense(b_hh_);
  const int64_t N = hx.size(0), H = hx.size(1);
  const at::ScalarType dtype = hx.scalar_type();
  Tensor hy = empty({N, H}, dtype);
  Tensor saved = save ? empty({N, 4 * H}, dtype) : Tensor();
  // Of each thread, for its own caches.
  static thread_local Turns turns;
  with_kernels(dtype, [&](const auto& kernels) {
    using T = NumberOf<decltype(kernels)>;
    forward<T>(kernels, {read<T>(x), read<T>(h), read<T>(w_ih), read<T>(w_hh), read<T>(b_ih), read<T>(b_hh), write<T>(hy),
                         write<T>(saved), N, input.size(1), H, x->stride(0), h->stride(0), turns.next(read<T>(w_hh))});
  });
  return {std::move(hy), std::move(saved)};
}

}  // namespace
}  // namespace gru_ext::cpu

TORCH_LIBRARY_IMPL(gru_ext, CPU, m) {
  m.impl("_cell", gru_ext::cell_from<gru_ext::cpu::step>);
  m.impl("_cell_forward", gru_ext::cell_forward_from<gru_ext::cpu::step>);
}
