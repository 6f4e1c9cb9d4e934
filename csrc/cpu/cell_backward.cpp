// The CPU kernel of the backward op: gradients of the gates in one pass, then the matrix products that are asked for.
#include <torch/library.h>

#include <algorithm>
#include <type_traits>

#include "cpu/operands.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "ops/checks.h"
#include "ops/schema.h"

namespace gru_ext::cpu {
namespace {

// Units per part of the gates pass: a cache line of floats. Rows and columns per part of a product: fine enough for parts that
// hardly differ. They need not fit the tiles, of which a thread has a smaller one at its borders alone.
constexpr int64_t kGateStep = 16, kRowStep = 4, kColumnStep = 16;
// Rows of a product that exist in the compute type where the result is rounded: few enough to stay in a cache, and as many for
// any number of threads, because a rest of few rows is summed in another order. The products' own block, so that B is packed
// no more often.
constexpr int64_t kRoundedRows = 384;
// Rows of the batch whose gate gradients exist at a time: for a large batch they stay in the cache between the pass that makes
// them and the products that use them. A multiple of the products' blocks, so that no sum is divided differently.
constexpr int64_t kChunkRows = 512;

template <class T>
void product(const CellKernels<T>& k, const MatmulArgs<T>& p) {
  const auto rows = [&](const MatmulArgs<T>& columns, int64_t begin, int64_t end) {
    const Scratch<Compute<T>> scratch(k.matmul_scratch(columns));
    k.matmul(columns, begin, end, scratch.data());
  };
  // Threads that divide the columns each pack A if it lies transposed, those that divide the rows each pack B.
  const double of_rows = largest_share(p.M, kRowStep), of_columns = largest_share(p.J, kColumnStep);
  if (of_rows < of_columns || (of_rows == of_columns && p.a_col != 1))
    parallel_parts(p.M, kRowStep, p.J * p.K, [&](int64_t begin, int64_t end) { rows(p, begin, end); });
  else
    parallel_parts(p.J, kColumnStep, p.M * p.K, [&](int64_t begin, int64_t end) { rows(p.columns(begin, end), 0, p.M); });
}

// A product whose C is dense, to C in the compute type or rounded to T.
template <class T, class C>
void product_to(const CellKernels<T>& k, MatmulArgs<T> p, C* c) {
  if constexpr (std::is_same_v<C, Compute<T>>) {
    p.c = c;
    product(k, p);
  } else {
    const int64_t most = std::min(p.M, kRoundedRows);
    const Scratch<Compute<T>> sums(most * p.J);
    p.c = sums.data();
    for (int64_t m = 0; m < p.M; m += most) {
      const MatmulArgs<T> rows = p.rows(m, std::min(m + most, p.M));
      product(k, rows);
      k.round(sums.data(), rows.M * p.J, c + m * p.J);
    }
  }
}

Grads cell_backward(const Tensor& grad_, const Tensor& saved_, const Tensor& input, const Tensor& hx, const Tensor& w_ih_,
                    const Tensor& w_hh_, OutputMask output_mask) {
  check_backward_sizes(grad_, saved_, input, hx, w_ih_, w_hh_);
  check_fusable(input, hx, w_ih_, w_hh_, std::nullopt, std::nullopt);
  const Operand x = with_contiguous_rows(input), h = with_contiguous_rows(hx), w_ih = dense(w_ih_), w_hh = dense(w_hh_);
  const Operand grad = dense(grad_), saved = dense(saved_);
  const int64_t N = hx.size(0), I = input.size(1), H = hx.size(1);

  // Sums are rounded to the dtype once, at the end: those of a large batch after its last chunk.
  const at::ScalarType dtype = hx.scalar_type(), computed = compute_dtype(dtype);
  const at::ScalarType of_weights_dtype = N > kChunkRows ? computed : dtype;
  const auto wanted = [&](size_t i, at::IntArrayRef sizes, at::ScalarType type) {
    return output_mask[i] ? empty(sizes, type) : Tensor();
  };
  const Tensor d_input = wanted(0, {N, I}, dtype), d_hx = wanted(1, {N, H}, dtype),
               d_w_ih = wanted(2, {3 * H, I}, of_weights_dtype), d_w_hh = wanted(3, {3 * H, H}, of_weights_dtype),
               d_b_ih = wanted(4, {3 * H}, computed), d_b_hh = wanted(5, {3 * H}, computed);
  const int64_t chunk = std::min(N, kChunkRows);

  with_kernels(dtype, [&](const auto& k) {
    using T = NumberOf<decltype(k)>;
    using S = Compute<T>;
    const Scratch<S> d_gates(2 * chunk * 3 * H), d_h(output_mask[1] ? chunk * H : 0);
    S *const di = d_gates.data(), *const dh = di + chunk * 3 * H;
    // The part of the gradient of the state that does not pass through W_hh.
    S* const direct = d_h.data();
    // Once at least: an empty batch has gradients too, which are 0.
    for (int64_t n = 0; n == 0 || n < N; n += kChunkRows) {
      const int64_t rows = std::min(N - n, kChunkRows);
      const T *const x_rows = read<T>(x) + n * x->stride(0), *const h_rows = read<T>(h) + n * h->stride(0);
      const GatesBackwardArgs<T> gates = {read<T>(grad) + n * H, read<T>(saved) + n * 4 * H, h_rows, di, dh,           direct,
                                          write<S>(d_b_ih),      write<S>(d_b_hh),           rows,   H,  h->stride(0), n > 0};
      // The pass moves some twenty numbers per element, each as dear as a multiply-add or two.
      parallel_parts(H, kGateStep, 32 * rows, [&](int64_t begin, int64_t end) { k.gates_backward(gates, begin, end); });
      const auto put = [&](const MatmulArgs<T>& p, const Tensor& c, int64_t row) {
        if (c.scalar_type() == computed)
          product_to(k, p, write<S>(c) + row * p.J);
        else
          product_to(k, p, write<T>(c) + row * p.J);
      };
      const auto of_rows = [&](const S* gates, const T* w, int64_t J, const Tensor& c, const S* addend) {
        put({gates, 3 * H, 1, w, J, /*c=*/nullptr, J, rows, J, 3 * H, /*accumulate=*/false, addend}, c, n);
      };
      const auto of_weights = [&](const S* gates, const T* b, int64_t b_row, int64_t J, const Tensor& c) {
        put({gates, 1, 3 * H, b, b_row, /*c=*/nullptr, J, 3 * H, J, rows, /*accumulate=*/n > 0, nullptr}, c, 0);
      };
      if (output_mask[0]) of_rows(di, read<T>(w_ih), I, d_input, nullptr);
      if (output_mask[1]) of_rows(dh, read<T>(w_hh), H, d_hx, direct);
      if (output_mask[2]) of_weights(di, x_rows, x->stride(0), I, d_w_ih);
      if (output_mask[3]) of_weights(dh, h_rows, h->stride(0), H, d_w_hh);
    }
  });

  // Each its own tensor: the outputs of an op may not alias each other.
  const auto result = [&](const Tensor& t) { return t.defined() ? t.to(dtype) : empty({0}, dtype); };
  return {result(d_input), result(d_hx), result(d_w_ih), result(d_w_hh), result(d_b_ih), result(d_b_hh)};
}

}  // namespace
}  // namespace gru_ext::cpu

TORCH_LIBRARY_IMPL(gru_ext, CPU, m) { m.impl("_cell_backward", gru_ext::cpu::cell_backward); }
