// gates_forward against the equations in double.
#include "cuda_test.h"

namespace gru_ext::cuda {
namespace {

constexpr const char* kKernel = "gates_forward";

// Sums of up to four numbers of at most 2 each, then products with factors of at most 3: a few roundings of a few units. The
// intrinsics for 16-bit results are good to 2 + 1.17 |x| units (CUDA's manual, of __expf), 9 for the largest sums here, of
// which the slope of a sigmoid leaves a quarter and r * q and z * (h - n) make up to three times as much again, each.
template <class T>
constexpr double kTolerance = (sizeof(T) == 2 ? 32 : 8) * kEpsilon<Host<T>>;

constexpr int64_t kBatch[] = {0, 1, 3, 5, 8, 33, 70};
constexpr int64_t kSizes[] = {0, 1, 3, 37, 128, 136};

// More rows than the largest grid has at once, so that threads take several: of single numbers for float, of packs for double.
template <class T>
constexpr bool kHasLarge = sizeof(T) >= 4;
template <class T>
constexpr int64_t kLarge[] = {sizeof(T) == 8 ? 500 : 300, sizeof(T) == 8 ? 1032 : 1025};

// Arrays, by which Alignment counts.
enum { kInput, kHidden, kState, kInputBias, kHiddenBias, kNext, kSaved, kArrays };

struct Case {
  int64_t N, H, h_row;
  bool with_b_ih, with_b_hh;
  Alignment alignment;
};

template <class T>
struct Inputs {
  Buffer<Host<T>> input_gates, hidden_gates, h, b_ih, b_hh;

  Inputs(const Case& c, Random& random)
      : input_gates(c.N * 3 * c.H), hidden_gates(c.N * 3 * c.H), h(strided(c.N, c.h_row, c.H)), b_ih(3 * c.H), b_hh(3 * c.H) {
    for (const auto* b : {&input_gates, &hidden_gates}) random.fill(*b, -2, 2);
    for (const auto* b : {&b_ih, &b_hh}) random.fill(*b, -1, 1);
    fill_rows(h, c.N, c.h_row, c.H, random);
  }
};

struct Expected {
  std::vector<double> hy, saved;
};

template <class T>
Expected reference(const Case& c, const Inputs<T>& in) {
  Expected e{std::vector<double>(static_cast<size_t>(c.N * c.H)), std::vector<double>(static_cast<size_t>(c.N * 4 * c.H))};
  for (int64_t n = 0; n < c.N; ++n)
    for (int64_t j = 0; j < c.H; ++j) {
      double input[3], hidden[3];
      for (int64_t g = 0; g < 3; ++g) {
        const int64_t at = n * 3 * c.H + g * c.H + j, bias = g * c.H + j;
        input[g] = to_double(in.input_gates[at]) + (c.with_b_ih ? to_double(in.b_ih[bias]) : 0);
        hidden[g] = to_double(in.hidden_gates[at]) + (c.with_b_hh ? to_double(in.b_hh[bias]) : 0);
      }
      const double r = 1 / (1 + std::exp(-(input[0] + hidden[0])));
      const double z = 1 / (1 + std::exp(-(input[1] + hidden[1])));
      const double candidate = std::tanh(input[2] + r * hidden[2]);
      const double h = to_double(in.h[n * c.h_row + j]);
      e.hy[static_cast<size_t>(n * c.H + j)] = candidate + z * (h - candidate);
      const double saved[4] = {r, z, candidate, hidden[2]};
      for (int64_t g = 0; g < 4; ++g) e.saved[static_cast<size_t>(n * 4 * c.H + g * c.H + j)] = saved[g];
    }
  return e;
}

template <class T>
struct Outputs {
  Buffer<Host<T>> hy, saved;
  explicit Outputs(const Case& c, bool save = true) : hy(c.N * c.H), saved(save ? c.N * 4 * c.H : 0) {}
  bool same_bits(const Outputs& other) const { return hy.same_bits(other.hy) && saved.same_bits(other.saved); }
};

template <class T>
void run(const Case& c, const Inputs<T>& in, bool save, const Outputs<T>& out) {
  const Alignment& at = c.alignment;
  const DeviceNumbers<T> input(in.input_gates, at(kInput)), hidden(in.hidden_gates, at(kHidden)), h(in.h, at(kState)),
      b_ih(in.b_ih, at(kInputBias)), b_hh(in.b_hh, at(kHiddenBias)), hy(out.hy.size(), at(kNext), /*ends_memory=*/c.N % 2 != 0),
      saved(out.saved.size(), at(kSaved), /*ends_memory=*/c.N % 2 != 0);
  const GatesForwardArgs<T> args = {input.data(),
                                    hidden.data(),
                                    h.data(),
                                    c.with_b_ih ? b_ih.data() : nullptr,
                                    c.with_b_hh ? b_hh.data() : nullptr,
                                    hy.data(),
                                    save ? saved.data() : nullptr,
                                    c.N,
                                    c.H,
                                    c.h_row};
  MUST(gates_forward(args, stream()));
  hy.read(out.hy);
  saved.read(out.saved);
}

template <class T>
void name(const Case& c) {
  char text[120];
  std::snprintf(text, sizeof text, "N %d H %d h_row %d%s%s misaligned %d", int(c.N), int(c.H), int(c.h_row),
                c.with_b_ih ? " b_ih" : "", c.with_b_hh ? " b_hh" : "", c.alignment.misaligned);
  now_checking(kKernel, kTypeName<T>, text);
}

template <class T>
void check_numbers(const Case& c, const Inputs<T>& in, const Outputs<T>& out, Digest& digest) {
  name<T>(c);
  const Expected e = reference(c, in);
  run(c, in, /*save=*/true, out);
  expect_near("hy", out.hy, e.hy, [](size_t) { return kTolerance<T>; });
  expect_near("saved", out.saved, e.saved, [](size_t) { return kTolerance<T>; });
  digest.add(out.hy);
  digest.add(out.saved);
}

template <class T>
void check_case(const Case& c, bool save_again, Random& random, Digest& digest) {
  const Inputs<T> in(c, random);
  const Outputs<T> out(c), again(c, save_again);
  check_numbers(c, in, out, digest);
  run(c, in, save_again, again);
  expect(save_again ? again.same_bits(out) : again.hy.same_bits(out.hy),
         "a second run, or one that saves nothing, gives other bits");
}

template <class T>
void check_sizes(Extent extent, Random& random, Digest& digest) {
  const std::vector<Alignment> all = alignments(kArrays);
  int number = 0;
  for (const int64_t H : kSizes)
    for (const int64_t N : kBatch)
      for (int repeat = 0; repeat < 2; ++repeat) {
        ++number;
        if (left_out(extent, number, 5)) continue;
        // Rows next to each other, gaps that whole packs allow, gaps that they do not, the same row again and again.
        const int64_t row = number % 7 == 0 ? 0 : H + (number % 3 == 0 ? 8 : number % 3 == 1 ? 0 : 5);
        check_case<T>({N, H, row, (number & 1) != 0, (number & 2) != 0, all[static_cast<size_t>(number) % all.size()]},
                      (number & 4) != 0, random, digest);
      }
  if (kHasLarge<T> && !extent.few)
    check_case<T>({kLarge<T>[0], kLarge<T>[1], kLarge<T>[1], true, true, {Alignment::kNone}}, true, random, digest);
  // Every array by itself decides whether whole packs can be used, and so does every distance between rows.
  for (const Alignment& alignment : all)
    for (const int64_t gap : {0, 8, 4, 1}) {
      ++number;
      if (left_out(extent, number, 3)) continue;
      check_case<T>({3, 64, 64 + gap, true, true, alignment}, (number & 1) != 0, random, digest);
    }
}

// What is not finite in one row of an input: the equations say what it becomes; the other rows do not change by a bit.
template <class T>
void check_not_finite(Extent extent, Random& random, Digest& digest) {
  using H = Host<T>;
  int number = 0;
  for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
    for (const int array : {kInput, kHidden, kState})
      for (const int gate : {0, 1, 2})
        for (const int64_t columns : {19, 24}) {
          if ((array == kState && gate > 0) || left_out(extent, ++number, 4)) continue;
          const Case c = {5, columns, columns, true, true, {Alignment::kNone}};
          const Inputs<T> in(c, random);
          const Outputs<T> clean(c), out(c);
          check_numbers(c, in, clean, digest);
          const Buffer<H>& rows = array == kInput ? in.input_gates : array == kHidden ? in.hidden_gates : in.h;
          constexpr int64_t kRow = 2;
          rows[array == kState ? kRow * columns + 7 : kRow * 3 * columns + gate * columns + 7] = from_double<H>(bad);
          check_numbers(c, in, out, digest);
          expect(same_other_rows(out.hy, clean.hy, kRow, columns) && same_other_rows(out.saved, clean.saved, kRow, 4 * columns),
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

void check_gates_forward(Extent extent) { GRU_EXT_FOR_EVERY_TYPE(check_type, extent); }

}  // namespace gru_ext::cuda
