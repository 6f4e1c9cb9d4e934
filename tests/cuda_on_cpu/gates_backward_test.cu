// gates_backward against the derivatives of the equations in double.
#include "cuda_test.h"

namespace gru_ext::cuda {
namespace {

constexpr const char* kKernel = "gates_backward";

// Each number is a product of at most six factors, with one rounding for each; only 1 - n * n and 1 - r can lose more, for
// which `Numbers` holds the size of the terms that are subtracted.
constexpr double kRoundings = 4;

constexpr int64_t kBatch[] = {0, 1, 3, 5, 8, 33, 70};
constexpr int64_t kSizes[] = {0, 1, 3, 37, 128, 136};
// Many slabs: more than the second kernel has rows, and a last one that is short.
constexpr int64_t kManyRows[][2] = {{300, 1}, {1500, 3}, {4500, 2}, {600, 72}};
// More rows than the largest grid has at once, so that threads take several: of single numbers for float, of packs for double.
template <class T>
constexpr bool kHasLarge = sizeof(T) >= 4;
template <class T>
constexpr int64_t kLarge[] = {sizeof(T) == 8 ? 500 : 300, sizeof(T) == 8 ? 1032 : 1025};

// Arrays, by which Alignment counts.
enum { kGrad, kSaved, kState, kInputGates, kHiddenGates, kStateGrad, kInputBias, kHiddenBias, kSums, kArrays };

// Bits of `wanted`.
constexpr int kStateGradWanted = 1, kInputBiasWanted = 2, kHiddenBiasWanted = 4, kAllWanted = 7;

struct Case {
  int64_t N, H, h_row;
  Alignment alignment;
};

template <class T>
struct Inputs {
  Buffer<Host<T>> grad, saved, h;

  Inputs(const Case& c, Random& random) : grad(c.N * c.H), saved(c.N * 4 * c.H), h(strided(c.N, c.h_row, c.H)) {
    random.fill(grad, -1, 1);
    fill_rows(h, c.N, c.h_row, c.H, random);
    for (int64_t n = 0; n < c.N; ++n)
      for (int64_t j = 0; j < c.H; ++j) {
        // Some gates are nearly shut or open: there a formula that subtracts close numbers would lose its digits.
        const double edge = random.below(8) == 0 ? 1 - kEpsilon<Host<T>> * random(1, 1000) : 1;
        const double gates[4] = {random(0, 1), edge < 1 ? edge : random(0, 1), edge < 1 ? -edge : random(-1, 1), random(-2, 2)};
        for (int64_t g = 0; g < 4; ++g) saved[n * 4 * c.H + g * c.H + j] = from_double<Host<T>>(gates[g]);
      }
  }
};

// What is expected, and the size of the terms whose rounding decides the error.
struct Numbers {
  std::vector<double> value, size;
  explicit Numbers(int64_t count) : value(static_cast<size_t>(count)), size(static_cast<size_t>(count)) {}
  void set(int64_t i, double v, double lost = 0) {
    value[static_cast<size_t>(i)] = v;
    size[static_cast<size_t>(i)] = std::fabs(v) + std::fabs(lost);
  }
};

struct Expected {
  Numbers d_input, d_hidden, d_h, d_b_ih, d_b_hh;
  explicit Expected(const Case& c)
      : d_input(c.N * 3 * c.H), d_hidden(c.N * 3 * c.H), d_h(c.N * c.H), d_b_ih(3 * c.H), d_b_hh(3 * c.H) {}
};

// The sum of each column; rounding errors of random sign grow with the root of the number of rows.
void sum_columns(const Numbers& rows, int64_t N, Numbers& sums) {
  const size_t columns = sums.value.size();
  for (size_t j = 0; j < columns; ++j) {
    double value = 0, squares = 0;
    for (size_t n = 0; n < static_cast<size_t>(N); ++n) {
      value += rows.value[n * columns + j];
      squares += rows.size[n * columns + j] * rows.size[n * columns + j];
    }
    sums.value[j] = value;
    sums.size[j] = std::sqrt(squares * static_cast<double>(N));
  }
}

template <class T>
Expected reference(const Case& c, const Inputs<T>& in) {
  Expected e(c);
  for (int64_t n = 0; n < c.N; ++n)
    for (int64_t j = 0; j < c.H; ++j) {
      const int64_t at = n * 4 * c.H + j, out = n * 3 * c.H + j;
      const double r = to_double(in.saved[at]), z = to_double(in.saved[at + c.H]);
      const double candidate = to_double(in.saved[at + 2 * c.H]), q = to_double(in.saved[at + 3 * c.H]);
      const double h = to_double(in.h[n * c.h_row + j]), g = to_double(in.grad[n * c.H + j]);
      // h' = (1 - z) n + z h, with n = tanh(n_sum), n_sum = n_input + r q, r = sigmoid(r_sum), z = sigmoid(z_sum).
      const double d_candidate = g * (1 - z), d_z = g * (h - candidate);
      const double d_n_sum = d_candidate * (1 - candidate * candidate);
      const double d_r = d_n_sum * q, slope = r * (1 - r);
      for (Numbers* d : {&e.d_input, &e.d_hidden}) {
        d->set(out, d_r * slope, d_candidate * q * slope);
        d->set(out + c.H, d_z * z * (1 - z));
      }
      e.d_input.set(out + 2 * c.H, d_n_sum, d_candidate);
      e.d_hidden.set(out + 2 * c.H, d_n_sum * r, d_candidate * r);
      e.d_h.set(n * c.H + j, g * z);
    }
  sum_columns(e.d_input, c.N, e.d_b_ih);
  sum_columns(e.d_hidden, c.N, e.d_b_hh);
  return e;
}

template <class T>
struct Outputs {
  Buffer<Host<T>> d_input, d_hidden, d_h, d_b_ih, d_b_hh;

  explicit Outputs(const Case& c, int wanted = kAllWanted)
      : d_input(c.N * 3 * c.H),
        d_hidden(c.N * 3 * c.H),
        d_h(wanted & kStateGradWanted ? c.N * c.H : 0),
        d_b_ih(wanted & kInputBiasWanted ? 3 * c.H : 0),
        d_b_hh(wanted & kHiddenBiasWanted ? 3 * c.H : 0) {}
};

template <class T>
void run(const Case& c, const Inputs<T>& in, int wanted, const Outputs<T>& out) {
  using S = Compute<T>;
  const Alignment& at = c.alignment;
  const bool ends = c.N % 2 != 0, biases = (wanted & (kInputBiasWanted | kHiddenBiasWanted)) != 0;
  const DeviceNumbers<T> grad(in.grad, at(kGrad)), saved(in.saved, at(kSaved)), h(in.h, at(kState)),
      d_input(out.d_input.size(), at(kInputGates), ends), d_hidden(out.d_hidden.size(), at(kHiddenGates), ends),
      d_h(out.d_h.size(), at(kStateGrad), ends), d_b_ih(out.d_b_ih.size(), at(kInputBias), ends),
      d_b_hh(out.d_b_hh.size(), at(kHiddenBias), ends);
  const DeviceNumbers<S> sums(biases ? gates_backward_slabs<T>(c.N, c.H) * 4 * c.H : 0, at(kSums), ends);
  const GatesBackwardArgs<T> args = {grad.data(),
                                     saved.data(),
                                     h.data(),
                                     d_input.data(),
                                     d_hidden.data(),
                                     wanted & kStateGradWanted ? d_h.data() : nullptr,
                                     wanted & kInputBiasWanted ? d_b_ih.data() : nullptr,
                                     wanted & kHiddenBiasWanted ? d_b_hh.data() : nullptr,
                                     biases ? sums.data() : nullptr,
                                     c.N,
                                     c.H,
                                     c.h_row};
  MUST(gates_backward(args, stream()));
  d_input.read(out.d_input);
  d_hidden.read(out.d_hidden);
  d_h.read(out.d_h);
  d_b_ih.read(out.d_b_ih);
  d_b_hh.read(out.d_b_hh);
  sums.read(Buffer<Host<S>>(biases ? gates_backward_slabs<T>(c.N, c.H) * 4 * c.H : 0));  // for what lies around them
}

template <class T>
void check_numbers(const Case& c, const Inputs<T>& in, const Outputs<T>& out, Digest& digest) {
  char text[120];
  std::snprintf(text, sizeof text, "N %d H %d h_row %d misaligned %d", int(c.N), int(c.H), int(c.h_row),
                c.alignment.misaligned);
  now_checking(kKernel, kTypeName<T>, text);
  const Expected e = reference(c, in);
  run(c, in, kAllWanted, out);
  const auto near = [&](const char* what, const Buffer<Host<T>>& got, const Numbers& expected) {
    expect_near(what, got, expected.value, [&](size_t i) { return kRoundings * kEpsilon<Host<T>> * expected.size[i]; });
    digest.add(got);
  };
  near("d_input_gates", out.d_input, e.d_input);
  near("d_hidden_gates", out.d_hidden, e.d_hidden);
  near("d_h", out.d_h, e.d_h);
  near("d_b_ih", out.d_b_ih, e.d_b_ih);
  near("d_b_hh", out.d_b_hh, e.d_b_hh);
}

template <class T>
void check_case(const Case& c, int wanted, Random& random, Digest& digest) {
  const Inputs<T> in(c, random);
  const Outputs<T> out(c), again(c, wanted);
  check_numbers(c, in, out, digest);
  run(c, in, wanted, again);
  const auto same = [](const auto& a, const auto& b) { return b.size() == 0 || a.same_bits(b); };
  expect(same(out.d_input, again.d_input) && same(out.d_hidden, again.d_hidden) && same(out.d_h, again.d_h) &&
             same(out.d_b_ih, again.d_b_ih) && same(out.d_b_hh, again.d_b_hh),
         "a second run, or one of which less is wanted, gives other bits");
}

template <class T>
void check_sizes(Extent extent, Random& random, Digest& digest) {
  const std::vector<Alignment> all = alignments(kArrays);
  int number = 0;
  for (const int64_t H : kSizes)
    for (const int64_t N : kBatch) {
      ++number;
      if (left_out(extent, number, 5)) continue;
      // Rows next to each other, gaps that whole packs allow, gaps that they do not, the same row again and again.
      const int64_t row = number % 7 == 0 ? 0 : H + (number % 3 == 0 ? 8 : number % 3 == 1 ? 0 : 5);
      check_case<T>({N, H, row, all[static_cast<size_t>(number) % all.size()]}, number & kAllWanted, random, digest);
    }
  for (const auto& [N, H] : kManyRows) {
    ++number;
    if (!extent.few || N * H <= 4500) check_case<T>({N, H, H, {Alignment::kNone}}, number & kAllWanted, random, digest);
  }
  if (kHasLarge<T> && !extent.few)
    check_case<T>({kLarge<T>[0], kLarge<T>[1], kLarge<T>[1], {Alignment::kNone}}, kAllWanted, random, digest);
  // Every array by itself decides whether whole packs can be used, and so does every distance between rows.
  for (const Alignment& alignment : all)
    for (const int64_t gap : {0, 8, 4, 1}) {
      ++number;
      if (!left_out(extent, number, 3)) check_case<T>({3, 64, 64 + gap, alignment}, number & kAllWanted, random, digest);
    }
}

// What is not finite in one row reaches that row, and the bias gradients of its unit.
template <class T>
void check_not_finite(Random& random, Digest& digest) {
  for (const double bad : {double(NAN), double(INFINITY)})
    for (const int64_t columns : {19, 24})
      for (const int64_t unit : {4, 18}) {
        const Case c = {5, columns, columns, {Alignment::kNone}};
        constexpr int64_t kRow = 2;
        const Inputs<T> in(c, random);
        const Outputs<T> clean(c), out(c);
        check_numbers(c, in, clean, digest);
        in.grad[kRow * columns + unit] = from_double<Host<T>>(bad);
        check_numbers(c, in, out, digest);
        expect(same_other_rows(out.d_input, clean.d_input, kRow, 3 * columns) &&
                   same_other_rows(out.d_hidden, clean.d_hidden, kRow, 3 * columns) &&
                   same_other_rows(out.d_h, clean.d_h, kRow, columns),
               "a number that is not finite reached another row of the batch");
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

void check_gates_backward(Extent extent) { GRU_EXT_FOR_EVERY_TYPE(check_type, extent); }

}  // namespace gru_ext::cuda
