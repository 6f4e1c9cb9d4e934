// The CPU kernel of the backward op: gradients of the gates in one pass, then the matrix products that are asked for.
#include <torch/library.h>

#include <algorithm>
#include <type_traits>

#include "cpu/operands.h"
#include "cpu/parallel.h"
#include "cpu/product.h"
#include "cpu/product_in_parts.h"
#include "cpu/scratch.h"
#include "ops/checks.h"
#include "ops/schema.h"

namespace gru_ext::cpu {
namespace {

// Units per share of the gradients of the biases: a cache line of floats.
constexpr int64_t kUnitStep = 16;
// Rows of the batch whose gate gradients exist at a time: for a large batch they stay in the cache between the pass that makes
// them and the products that use them. Fewer where the gradients of the weights, to which each chunk adds, are of no more than
// kNearSums bytes. Measured on a Granite Rapids, with 2 MB of second-level cache, whole steps of float32 against 512 rows: with
// AVX-512 128 rows take 0.94 to 0.98 of the time at I = H = 32 to 200, 0.99 at 256, 1.01 to 1.06 at 512 to 1024; 256 rows 0.96
// to 1.00 from 256 units on. With AVX2 0.97 to 1.02 and 0.96 to 1.00; on a Zen 3, with 512 KB, 0.95 to 1.00 and 0.99 to 1.02,
// but 128 rows 1.05 to 1.14 from 256 units on. On a Zen 4 96 rows had taken 0.96 at 200 units, 1.05 at 384 and 512.
constexpr int64_t kChunkRows = 256, kShortChunkRows = 128, kNearSums = 1 << 20;
// Rows of a group at the least. The gradients of the weights are summed up group by group, and the groups' sums at the end: a
// thread that has a whole group meets no line of a cache that another one wrote. On cores that share no cache two threads were
// slower than one with 6624 rows of 32 units, where each read gates' gradients of the other.
constexpr int64_t kGroupRows = 256;
constexpr int64_t kMostGroups = 8;
// Of a group's sums at the most. Each thread has sums and weights of that size in its caches, which otherwise threads divide:
// with 200 units groups take two threads 1.02 to 1.05 times as long if these share a cache, and 0.9 times if they do not.
constexpr int64_t kBytesOfSums = 512 << 10;

// Of a batch of no more rows, gradients of weights are rounded to the dtype as they are computed, those of 16-bit numbers block
// by block; of a larger one at the end.
constexpr int64_t kMostRounded = 2 * kGroupRows - 1;

// Into how many groups a batch is divided: by its sizes alone, so that the sums are the same on any number of threads.
int64_t groups_of(int64_t N, int64_t bytes_of_sums) {
  int64_t groups = 1;
  while (bytes_of_sums <= kBytesOfSums && 2 * groups <= std::min(kMostGroups, N / kGroupRows)) groups *= 2;
  return groups;
}

// Rows of a chunk of N rows, whole kSummedRows. Chunks are of equal size, because one of few rows reads much for what it
// computes; a quarter more than wished for is no reason for another.
int64_t rows_of_chunk(int64_t N, int64_t bytes_of_sums) {
  const int64_t wished = bytes_of_sums <= kNearSums ? kShortChunkRows : kChunkRows;
  const int64_t chunks = N <= wished ? 1 : at::divup(N - wished / 4, wished);
  return std::max(at::divup(at::divup(N, chunks), kSummedRows), int64_t{1}) * kSummedRows;
}

// Sums over rows of the batch, or null. W is the type of those that are products: gradients of large batches are rounded to the
// dtype at the end, others at once.
template <class W, class S>
struct WeightGrads {
  W *w_ih, *w_hh;  // [3H, I], [3H, H]
  S *b_ih, *b_hh;  // [3H]
};

// What the gradients are computed from, and where those of the rows go.
template <class T>
struct BackwardStep {
  using S = Compute<T>;

  const CellKernels<T>& k;
  const T *grad, *saved, *x, *h, *w_ih, *w_hh;
  int64_t x_row, h_row, I, H;
  T *d_input, *d_hx;  // or null

  // Of the gradients of the weights, as they are summed up.
  int64_t bytes_of_sums() const { return 3 * H * (I + H) * static_cast<int64_t>(sizeof(S)); }

  // Rows [begin, end).
  template <class W>
  void rows(int64_t begin, int64_t end, const WeightGrads<W, S>& sums) const {
    // Sums that are rounded at once have one chunk.
    const int64_t chunk = std::is_same_v<W, S> ? rows_of_chunk(end - begin, bytes_of_sums()) : kMostRounded;
    const int64_t most = std::min(end - begin, chunk);
    const bool biases = sums.b_ih || sums.b_hh;
    const Scratch<S> d_gates(2 * most * 3 * H), d_h(d_hx ? most * H : 0),
        of_gates(biases ? at::divup(most, kSummedRows) * 4 * H : 0);
    S *const di = d_gates.data(), *const dh = di + most * 3 * H;
    // The part of the gradient of the state that does not pass through W_hh.
    S* const direct = d_h.data();
    // Once at least: an empty batch has gradients too, which are 0.
    for (int64_t n = begin; n == begin || n < end; n += chunk) {
      const int64_t N = std::min(end - n, chunk);
      const bool accumulate = n > begin;
      const GatesBackwardArgs<T> gates = {grad + n * H,    saved + n * 4 * H, h + n * h_row, di, dh, direct,
                                          of_gates.data(), sums.b_ih,         sums.b_hh,     N,  H,  h_row,
                                          accumulate};
      // The pass moves some twenty numbers per element, each as dear as a multiply-add or two.
      parallel_parts(N, kSummedRows, 32 * H, [&](int64_t first, int64_t last) { k.gates_backward(gates, first, last); });
      const int64_t columns =
          I * ((d_input != nullptr) + (sums.w_ih != nullptr)) + H * ((d_hx != nullptr) + (sums.w_hh != nullptr));
      const auto of_rows = [&](const S* d, const T* w, int64_t J, T* to, const S* addend) {
        return ProductInParts<T>(k, {d, 3 * H, 1, w, J, /*c=*/nullptr, J, N, J, 3 * H, /*accumulate=*/false, addend},
                                 to ? to + n * J : nullptr);
      };
      const auto of_input = of_rows(di, w_ih, I, d_input, nullptr), of_state = of_rows(dh, w_hh, H, d_hx, direct);
      // Of all products at once: waiting for each other after every one takes threads longer than small ones do.
      parallel_shares(N * 3 * H * columns, [&](Share share) {
        const auto of_weights = [&](const S* d, const T* b, int64_t b_row, int64_t J, W* to) {
          if (to) product_to(k, {d, 1, 3 * H, b, b_row, /*c=*/nullptr, J, 3 * H, J, N, accumulate, nullptr}, to, share);
        };
        const auto [unit, units_end] = share.of(H, kUnitStep);
        if (biases) k.bias_gradients(gates, unit, units_end);
        of_input.multiply(share);
        of_state.multiply(share);
        of_weights(di, x + n * x_row, x_row, I, sums.w_ih);
        of_weights(dh, h + n * h_row, h_row, H, sums.w_hh);
      });
      of_input.add_up();
      of_state.add_up();
    }
  }

  // All rows, group by group.
  void groups(int64_t N, int64_t count, const WeightGrads<S, S>& sums) const {
    if (count == 1) return rows(0, N, sums);
    const int64_t of_w_ih = 3 * H * I, of_w_hh = 3 * H * H, of_bias = 3 * H, size = of_w_ih + of_w_hh + 2 * of_bias;
    const Scratch<S> others((count - 1) * size);
    const auto sums_of = [&](int64_t group) {
      if (group == 0) return sums;
      S* const w = others.data() + (group - 1) * size;
      S* const b = w + of_w_ih + of_w_hh;
      return WeightGrads<S, S>{sums.w_ih ? w : nullptr, sums.w_hh ? w + of_w_ih : nullptr, sums.b_ih ? b : nullptr,
                               sums.b_hh ? b + of_bias : nullptr};
    };
    const int64_t length = at::divup(N, count);
    const auto compute = [&](int64_t first, int64_t last) {
      for (int64_t group = first; group < last; ++group)
        rows(group * length, std::min((group + 1) * length, N), sums_of(group));
    };
    // Many threads divide each group.
    if (at::get_num_threads() > 2 * count || !worth_dividing(N * 3 * H * (I + H)))
      compute(0, count);
    else
      at::parallel_for(0, count, /*grain_size=*/1, compute);

    const auto add = [&](S* WeightGrads<S, S>::* part, int64_t length_of_sum) {
      constexpr int64_t kStep = 4096;  // numbers that stay in a near cache
      if (sums.*part == nullptr) return;
      parallel_parts(length_of_sum, kStep, count, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i += kStep)
          for (int64_t group = 1; group < count; ++group)
            k.add(sums_of(group).*part + i, std::min(kStep, last - i), sums.*part + i);
      });
    };
    add(&WeightGrads<S, S>::w_ih, of_w_ih);
    add(&WeightGrads<S, S>::w_hh, of_w_hh);
    add(&WeightGrads<S, S>::b_ih, of_bias);
    add(&WeightGrads<S, S>::b_hh, of_bias);
  }
};

Grads cell_backward(const Tensor& grad_, const Tensor& saved_, const Tensor& input, const Tensor& hx, const Tensor& w_ih_,
                    const Tensor& w_hh_, OutputMask output_mask) {
  check_backward_sizes(grad_, saved_, input, hx, w_ih_, w_hh_);
  check_fusable(input, hx, w_ih_, w_hh_, std::nullopt, std::nullopt);
  const Operand x = with_contiguous_rows(input), h = with_contiguous_rows(hx), w_ih = dense(w_ih_), w_hh = dense(w_hh_);
  const Operand grad = dense(grad_), saved = dense(saved_);
  const int64_t N = hx.size(0), I = input.size(1), H = hx.size(1);

  // Sums are rounded to the dtype once, at the end: those of a large batch after its last chunk or group.
  const at::ScalarType dtype = hx.scalar_type(), computed = compute_dtype(dtype);
  const bool large = N > kMostRounded;
  const auto wanted = [&](size_t i, at::IntArrayRef sizes, at::ScalarType type) {
    return output_mask[i] ? empty(sizes, type) : Tensor();
  };
  const at::ScalarType of_weights = large ? computed : dtype;
  // The large ones first: then the C library cuts the memory that it has of the last step into the same pieces. After small
  // ones they wander through all that is free, which no cache holds; one row, I = H = 512: 1.05 to 1.1 times as fast.
  const Tensor d_w_ih = wanted(2, {3 * H, I}, of_weights), d_w_hh = wanted(3, {3 * H, H}, of_weights),
               d_input = wanted(0, {N, I}, dtype), d_hx = wanted(1, {N, H}, dtype), d_b_ih = wanted(4, {3 * H}, computed),
               d_b_hh = wanted(5, {3 * H}, computed);

  with_kernels(dtype, [&](const auto& k) {
    using T = NumberOf<decltype(k)>;
    using S = Compute<T>;
    const BackwardStep<T> step = {k,
                                  read<T>(grad),
                                  read<T>(saved),
                                  read<T>(x),
                                  read<T>(h),
                                  read<T>(w_ih),
                                  read<T>(w_hh),
                                  x->stride(0),
                                  h->stride(0),
                                  I,
                                  H,
                                  write<T>(d_input),
                                  write<T>(d_hx)};
    if (!large) {
      step.rows(0, N, WeightGrads<T, S>{write<T>(d_w_ih), write<T>(d_w_hh), write<S>(d_b_ih), write<S>(d_b_hh)});
    } else {
      step.groups(N, groups_of(N, step.bytes_of_sums()),
                  {write<S>(d_w_ih), write<S>(d_w_hh), write<S>(d_b_ih), write<S>(d_b_hh)});
    }
  });

  // Each its own tensor: the outputs of an op may not alias each other.
  const auto result = [&](const Tensor& t) { return t.defined() ? t.to(dtype) : empty({0}, dtype); };
  return {result(d_input), result(d_hx), result(d_w_ih), result(d_w_hh), result(d_b_ih), result(d_b_hh)};
}

}  // namespace
}  // namespace gru_ext::cpu

TORCH_LIBRARY_IMPL(gru_ext, CPU, m) { m.impl("_cell_backward", gru_ext::cpu::cell_backward); }
