// small_batch_forward against the equations in double.
#include "cuda_test.h"

namespace gru_ext::cuda {
namespace {

constexpr const char* kKernel = "small_batch_forward";

// Inputs and weights are scaled so that the sums spread as a normal variable of deviation 1 to 1.3, and stay below 6. Each of
// L additions rounds a partial sum of up to that size, with random sign; the roundings of the gates are few beside them, but
// for the intrinsics of 16-bit results (see gates_forward_test.cu).
template <class T>
double tolerance(int64_t length) {
  return kEpsilon<Host<T>> * (4 * std::sqrt(static_cast<double>(length)) + (sizeof(T) == 2 ? 32 : 0));
}

constexpr int64_t kInputSizes[] = {0, 1, 3, 37, 64, 264};
constexpr int64_t kSizes[] = {0, 1, 3, 37, 128, 136};
// So wide that several warps share a unit, of every type.
constexpr int64_t kWide[][2] = {{520, 5}, {1032, 3}, {1031, 3}, {2056, 5}, {2049, 2}};

// Arrays, by which Alignment counts.
enum { kInput, kState, kInputWeight, kHiddenWeight, kInputBias, kHiddenBias, kNext, kSaved, kArrays };

struct Case {
  int64_t N, I, H, x_row, h_row;
  bool with_b_ih, with_b_hh;
  Alignment alignment;
};

template <class T>
struct Inputs {
  Buffer<Host<T>> x, h, w_ih, w_hh, b_ih, b_hh;

  Inputs(const Case& c, Random& random)
      : x(strided(c.N, c.x_row, c.I)),
        h(strided(c.N, c.h_row, c.H)),
        w_ih(3 * c.H * c.I),
        w_hh(3 * c.H * c.H),
        b_ih(3 * c.H),
        b_hh(3 * c.H) {
    const double scale = 1.5 / std::sqrt(static_cast<double>(c.I + c.H + 1));
    for (const auto* b : {&w_ih, &w_hh}) random.fill(*b, -scale, scale);
    for (const auto* b : {&b_ih, &b_hh}) random.fill(*b, -1, 1);
    fill_rows(x, c.N, c.x_row, c.I, random);
    fill_rows(h, c.N, c.h_row, c.H, random);
  }
};

struct Expected {
  std::vector<double> hy, saved;
};

template <class T>
Expected reference(const Case& c, const Inputs<T>& in) {
  const auto x = in.x.values(), h = in.h.values(), w_ih = in.w_ih.values(), w_hh = in.w_hh.values();
  const auto b_ih = in.b_ih.values(), b_hh = in.b_hh.values();
  Expected e{std::vector<double>(static_cast<size_t>(c.N * c.H)), std::vector<double>(static_cast<size_t>(c.N * 4 * c.H))};
  for (int64_t n = 0; n < c.N; ++n)
    for (int64_t j = 0; j < c.H; ++j) {
      double input[3], hidden[3];
      for (int64_t g = 0; g < 3; ++g) {
        const int64_t row = g * c.H + j;
        input[g] = c.with_b_ih ? b_ih[static_cast<size_t>(row)] : 0;
        hidden[g] = c.with_b_hh ? b_hh[static_cast<size_t>(row)] : 0;
        const double *x_n = x.data() + n * c.x_row, *h_n = h.data() + n * c.h_row;
        for (int64_t k = 0; k < c.I; ++k) input[g] += w_ih[static_cast<size_t>(row * c.I + k)] * x_n[k];
        for (int64_t k = 0; k < c.H; ++k) hidden[g] += w_hh[static_cast<size_t>(row * c.H + k)] * h_n[k];
      }
      const double r = 1 / (1 + std::exp(-(input[0] + hidden[0])));
      const double z = 1 / (1 + std::exp(-(input[1] + hidden[1])));
      const double candidate = std::tanh(input[2] + r * hidden[2]);
      const double state = h[static_cast<size_t>(n * c.h_row + j)];
      e.hy[static_cast<size_t>(n * c.H + j)] = candidate + z * (state - candidate);
      const double saved[4] = {r, z, candidate, hidden[2]};
      for (int64_t g = 0; g < 4; ++g) e.saved[static_cast<size_t>(n * 4 * c.H + g * c.H + j)] = saved[g];
    }
  return e;
}

template <class T>
struct Outputs {
  Buffer<Host<T>> hy, saved;
  explicit Outputs(const Case& c, bool save = true) : hy(c.N * c.H), saved(save ? c.N * 4 * c.H : 0) {}
};

template <class T>
void run(const Case& c, const Inputs<T>& in, bool save, const Outputs<T>& out) {
  const Alignment& at = c.alignment;
  const bool ends = c.N % 2 != 0;
  const DeviceNumbers<T> x(in.x, at(kInput)), h(in.h, at(kState)), w_ih(in.w_ih, at(kInputWeight)),
      w_hh(in.w_hh, at(kHiddenWeight)), b_ih(in.b_ih, at(kInputBias)), b_hh(in.b_hh, at(kHiddenBias)),
      hy(out.hy.size(), at(kNext), ends), saved(out.saved.size(), at(kSaved), ends);
  const SmallBatchArgs<T> args = {x.data(),
                                  h.data(),
                                  w_ih.data(),
                                  w_hh.data(),
                                  c.with_b_ih ? b_ih.data() : nullptr,
                                  c.with_b_hh ? b_hh.data() : nullptr,
                                  hy.data(),
                                  save ? saved.data() : nullptr,
                                  c.N,
                                  c.I,
                                  c.H,
                                  c.x_row,
                                  c.h_row};
  MUST(small_batch_forward(args, stream()));
  hy.read(out.hy);
  saved.read(out.saved);
}

template <class T>
void check_numbers(const Case& c, const Inputs<T>& in, const Outputs<T>& out, Digest& digest) {
  char text[120];
  std::snprintf(text, sizeof text, "N %d I %d H %d rows %d %d%s%s misaligned %d", int(c.N), int(c.I), int(c.H), int(c.x_row),
                int(c.h_row), c.with_b_ih ? " b_ih" : "", c.with_b_hh ? " b_hh" : "", c.alignment.misaligned);
  now_checking(kKernel, kTypeName<T>, text);
  const Expected e = reference(c, in);
  run(c, in, /*save=*/true, out);
  const double allowed = tolerance<T>(c.I + c.H + 2);
  expect_near("hy", out.hy, e.hy, [&](size_t) { return allowed; });
  expect_near("saved", out.saved, e.saved, [&](size_t) { return allowed; });
  digest.add(out.hy);
  digest.add(out.saved);
}

template <class T>
void check_case(const Case& c, bool save_again, Random& random, Digest& digest) {
  const Inputs<T> in(c, random);
  const Outputs<T> out(c), again(c, save_again);
  check_numbers(c, in, out, digest);
  run(c, in, save_again, again);
  expect(again.hy.same_bits(out.hy) && (!save_again || again.saved.same_bits(out.saved)),
         "a second run, or one that saves nothing, gives other bits");
}

template <class T>
void check_sizes(Extent extent, Random& random, Digest& digest) {
  const std::vector<Alignment> all = alignments(kArrays);
  int number = 0;
  const auto next = [&](int64_t N, int64_t I, int64_t H) {
    if (left_out(extent, ++number, 5)) return;
    // Rows next to each other, gaps that whole packs allow, gaps that they do not, the same row again and again.
    const auto row = [](int64_t columns, int kind) {
      return kind == 0 ? columns : kind == 1 ? columns + 8 : kind == 2 ? columns + 5 : 0;
    };
    check_case<T>({N, I, H, row(I, number % 5 % 4), row(H, number % 7 % 4), (number & 1) != 0, (number & 2) != 0,
                   all[static_cast<size_t>(number / 2) % all.size()]},
                  (number & 4) != 0, random, digest);
  };
  // Most of the time goes into the threads of many units with many rows, of which there is one case.
  for (const int64_t H : kSizes)
    for (const int64_t I : kInputSizes)
      if (H > 100)
        next(number % 3, I, H);
      else
        for (int repeat = 0; repeat < 2; ++repeat) next(number % 9, I, H);
  next(8, 264, 136);
  for (const auto& [I, H] : kWide)
    for (const int64_t N : {1, 2, 3, 8})
      if (++number; !left_out(extent, number, 5))
        check_case<T>({N, I, H, I, H, true, true, {Alignment::kNone}}, (number & 1) != 0, random, digest);
  // Every array by itself decides whether whole packs can be used, and so does every distance between rows.
  for (const Alignment& alignment : all)
    for (const auto& [x_gap, h_gap] : {std::pair{0, 0}, {8, 0}, {0, 4}, {1, 0}, {0, 1}})
      if (++number; !left_out(extent, number, 7))
        check_case<T>({number % 2 + 1, 40, 8, 40 + x_gap, 8 + h_gap, true, true, alignment}, (number & 1) != 0, random, digest);
}

// NaN and infinities in one row of the batch: the equations say what they become; the other rows do not change by a bit.
template <class T>
void check_not_finite(Extent extent, Random& random, Digest& digest) {
  int number = 0;
  for (const int64_t N : {2, 8})
    for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
      for (const bool in_state : {false, true})
        for (const int64_t columns : {9, 16}) {
          if (left_out(extent, ++number, 6)) continue;
          const Case c = {N, 2 * columns, columns, 2 * columns, columns, true, true, {Alignment::kNone}};
          const int64_t row = N / 2;
          const Inputs<T> in(c, random);
          const Outputs<T> clean(c), out(c);
          check_numbers(c, in, clean, digest);
          (in_state ? in.h : in.x)[row * (in_state ? c.h_row : c.x_row) + columns - 1 - number % 3] = from_double<Host<T>>(bad);
          check_numbers(c, in, out, digest);
          expect(same_other_rows(out.hy, clean.hy, row, columns) && same_other_rows(out.saved, clean.saved, row, 4 * columns),
                 "a number that is not finite reached another row of the batch");
        }
}

template <class T>
void check_type(Extent extent) {
  Random random;
  Digest digest;
  check_sizes<T>(extent, random, digest);
  check_not_finite<T>(extent, random, digest);
  digest.print(kKernel, kTypeName<T>);
}

}  // namespace

void check_small_batch_forward(Extent extent) { GRU_EXT_FOR_EVERY_TYPE(check_type, extent); }

}  // namespace gru_ext::cuda
