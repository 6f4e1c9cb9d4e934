// small_batch_weights against sums of products in double.
#include "cuda_test.h"

namespace gru_ext::cuda {
namespace {

constexpr const char* kKernel = "small_batch_weights";

// A sum of at most eight products: a rounding for each product and each addition, each of half a unit at most.
constexpr double kRoundings = 8;

constexpr int64_t kInputSizes[] = {0, 1, 3, 37, 64, 264};
constexpr int64_t kSizes[] = {0, 1, 3, 37, 128, 136};

// Arrays, by which Alignment counts.
enum { kInputGates, kHiddenGates, kInput, kState, kInputWeight, kHiddenWeight, kArrays };

// Bits of `wanted`.
constexpr int kInputWanted = 1, kHiddenWanted = 2, kBoth = 3;

struct Case {
  int64_t N, I, H, x_row, h_row;
  Alignment alignment;
};

template <class T>
struct Inputs {
  Buffer<Host<T>> d_input, d_hidden, x, h;

  Inputs(const Case& c, Random& random)
      : d_input(c.N * 3 * c.H), d_hidden(c.N * 3 * c.H), x(strided(c.N, c.x_row, c.I)), h(strided(c.N, c.h_row, c.H)) {
    for (const auto* b : {&d_input, &d_hidden}) random.fill(*b, -1, 1);
    fill_rows(x, c.N, c.x_row, c.I, random);
    fill_rows(h, c.N, c.h_row, c.H, random);
  }
};

template <class T>
struct Outputs {
  Buffer<Host<T>> d_w_ih, d_w_hh;
  explicit Outputs(const Case& c, int wanted = kBoth)
      : d_w_ih(wanted & kInputWanted ? 3 * c.H * c.I : 0), d_w_hh(wanted & kHiddenWanted ? 3 * c.H * c.H : 0) {}
};

template <class T>
void run(const Case& c, const Inputs<T>& in, int wanted, const Outputs<T>& out) {
  const Alignment& at = c.alignment;
  const bool ends = c.N % 2 != 0;
  const DeviceNumbers<T> d_input(in.d_input, at(kInputGates)), d_hidden(in.d_hidden, at(kHiddenGates)), x(in.x, at(kInput)),
      h(in.h, at(kState)), d_w_ih(out.d_w_ih.size(), at(kInputWeight), ends),
      d_w_hh(out.d_w_hh.size(), at(kHiddenWeight), ends);
  const SmallBatchWeightsArgs<T> args = {d_input.data(),
                                         d_hidden.data(),
                                         x.data(),
                                         h.data(),
                                         wanted & kInputWanted ? d_w_ih.data() : nullptr,
                                         wanted & kHiddenWanted ? d_w_hh.data() : nullptr,
                                         c.N,
                                         c.I,
                                         c.H,
                                         c.x_row,
                                         c.h_row};
  MUST(small_batch_weights(args, stream()));
  d_w_ih.read(out.d_w_ih);
  d_w_hh.read(out.d_w_hh);
}

template <class H>
void check_side(const char* what, const Case& c, const Buffer<H>& d_gates, const Buffer<H>& in, int64_t row, int64_t columns,
                const Buffer<H>& got, Digest& digest) {
  std::vector<double> expected(static_cast<size_t>(3 * c.H * columns)), sizes(expected.size());
  const auto d = d_gates.values(), rows = in.values();
  for (int64_t n = 0; n < c.N; ++n)
    for (int64_t i = 0; i < 3 * c.H; ++i)
      for (int64_t k = 0; k < columns; ++k) {
        const double product = d[static_cast<size_t>(n * 3 * c.H + i)] * rows[static_cast<size_t>(n * row + k)];
        expected[static_cast<size_t>(i * columns + k)] += product;
        sizes[static_cast<size_t>(i * columns + k)] += std::fabs(product);
      }
  expect_near(what, got, expected, [&](size_t i) { return kRoundings * kEpsilon<H> * sizes[i]; });
  digest.add(got);
}

template <class T>
void check_numbers(const Case& c, const Inputs<T>& in, const Outputs<T>& out, Digest& digest) {
  char text[120];
  std::snprintf(text, sizeof text, "N %d I %d H %d rows %d %d misaligned %d", int(c.N), int(c.I), int(c.H), int(c.x_row),
                int(c.h_row), c.alignment.misaligned);
  now_checking(kKernel, kTypeName<T>, text);
  run(c, in, kBoth, out);
  check_side("d_w_ih", c, in.d_input, in.x, c.x_row, c.I, out.d_w_ih, digest);
  check_side("d_w_hh", c, in.d_hidden, in.h, c.h_row, c.H, out.d_w_hh, digest);
}

template <class T>
void check_case(const Case& c, int wanted, Random& random, Digest& digest) {
  const Inputs<T> in(c, random);
  const Outputs<T> out(c), again(c, wanted);
  check_numbers(c, in, out, digest);
  run(c, in, wanted, again);
  const auto same = [](const auto& a, const auto& b) { return b.size() == 0 || a.same_bits(b); };
  expect(same(out.d_w_ih, again.d_w_ih) && same(out.d_w_hh, again.d_w_hh),
         "a second run, or one of which less is wanted, gives other bits");
}

template <class T>
void check_sizes(Extent extent, Random& random, Digest& digest) {
  const std::vector<Alignment> all = alignments(kArrays);
  int number = 0;
  for (const int64_t H : kSizes)
    for (const int64_t I : kInputSizes) {
      ++number;
      if (left_out(extent, number, 5)) continue;
      // Rows next to each other, gaps that whole packs allow, gaps that they do not, the same row again and again.
      const auto row = [&](int64_t columns, int kind) {
        return kind == 0 ? columns : kind == 1 ? columns + 8 : kind == 2 ? columns + 5 : 0;
      };
      check_case<T>(
          {number % 9, I, H, row(I, number % 5 % 4), row(H, number % 7 % 4), all[static_cast<size_t>(number / 2) % all.size()]},
          number & kBoth, random, digest);
    }
  // Every array by itself decides whether whole packs can be used, and so does every distance between rows.
  for (const Alignment& alignment : all)
    for (const auto& [x_gap, h_gap] : {std::pair{0, 0}, {8, 0}, {0, 4}, {1, 0}, {0, 1}}) {
      ++number;
      if (left_out(extent, number, 4)) continue;
      check_case<T>({number % 8 + 1, 40, 16, 40 + x_gap, 16 + h_gap, alignment}, number & kBoth, random, digest);
    }
}

// What is not finite in one number reaches one column of a gradient, or one row of it; check_numbers knows which.
template <class T>
void check_not_finite(Random& random, Digest& digest) {
  for (const double bad : {double(NAN), double(INFINITY)})
    for (const int64_t columns : {9, 16})
      for (const int array : {kInputGates, kHiddenGates, kInput, kState}) {
        const Case c = {5, 2 * columns, columns, 2 * columns, columns, {Alignment::kNone}};
        const Inputs<T> in(c, random);
        const Buffer<Host<T>>* const arrays[] = {&in.d_input, &in.d_hidden, &in.x, &in.h};
        const Buffer<Host<T>>& rows = *arrays[array];
        rows[rows.size() / 2 + 1] = from_double<Host<T>>(bad);
        check_numbers(c, in, Outputs<T>(c), digest);
      }
}

template <class T>
void check_type(Extent extent) {
  Random random;
  Digest digest;
  check_sizes<T>(extent, random, digest);
  check_not_finite<T>(random, digest);
  digest.print(kKernel, kTypeName<T>);
}

}  // namespace

void check_small_batch_weights(Extent extent) { GRU_EXT_FOR_EVERY_TYPE(check_type, extent); }

}  // namespace gru_ext::cuda
