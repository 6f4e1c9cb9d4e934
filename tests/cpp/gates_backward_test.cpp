// gates_backward against the derivatives of the equations in double.
#include "check.h"
#include "kernels_test.h"

namespace gru_ext::cpu {
namespace {

// Each number is a product of at most six factors, with one rounding for each; only 1 - n * n and 1 - r can lose more, for
// which `Derivatives` holds the size of the terms that are subtracted.
constexpr double kRoundings = 4;

// 65 and 130 rows cross the partial sums of the bias gradients, 100 units the strips.
constexpr int64_t kBatch[] = {0, 1, 2, 3, 4, 5, 8, 11, 19, 33, 64, 65, 130};
constexpr int64_t kSizes[] = {0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100, 129};

struct Sizes {
  int64_t N, H, h_row;
};

template <class T>
struct Inputs {
  Buffer<T> grad, saved, h;

  Inputs(const Sizes& s, Random& random) : grad(s.N * s.H), saved(s.N * 4 * s.H), h(s.N == 0 ? 0 : (s.N - 1) * s.h_row + s.H) {
    random.fill(grad, -1, 1);
    for (int64_t n = 0; n < s.N; ++n)
      for (int64_t j = 0; j < s.H; ++j) {
        h[n * s.h_row + j] = from_double<T>(random(-2, 2));
        // Some gates are nearly shut or open: there a formula that subtracts close numbers would lose its digits.
        const double edge = random.below(8) == 0 ? 1 - kEpsilon<T> * random(1, 1000) : 1;
        const double gates[4] = {random(0, 1), edge < 1 ? edge : random(0, 1), edge < 1 ? -edge : random(-1, 1), random(-2, 2)};
        for (int64_t g = 0; g < 4; ++g) saved[n * 4 * s.H + g * s.H + j] = from_double<T>(gates[g]);
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
  explicit Expected(const Sizes& s)
      : d_input(s.N * 3 * s.H), d_hidden(s.N * 3 * s.H), d_h(s.N * s.H), d_b_ih(3 * s.H), d_b_hh(3 * s.H) {}
};

// The sum of each column; rounding errors of random sign grow with the root of the number of rows.
Numbers column_sums(const Numbers& rows, int64_t N, int64_t columns) {
  Numbers sums(columns);
  for (int64_t j = 0; j < columns; ++j) {
    double value = 0, squares = 0;
    for (int64_t n = 0; n < N; ++n) {
      value += rows.value[static_cast<size_t>(n * columns + j)];
      squares += std::pow(rows.size[static_cast<size_t>(n * columns + j)], 2);
    }
    sums.value[static_cast<size_t>(j)] = value;
    sums.size[static_cast<size_t>(j)] = std::sqrt(squares * static_cast<double>(N));
  }
  return sums;
}

template <class T>
Expected reference(const Sizes& s, const Inputs<T>& in) {
  Expected e(s);
  for (int64_t n = 0; n < s.N; ++n)
    for (int64_t j = 0; j < s.H; ++j) {
      const int64_t at = n * 4 * s.H + j, out = n * 3 * s.H + j;
      const double r = to_double(in.saved[at]), z = to_double(in.saved[at + s.H]),
                   candidate = to_double(in.saved[at + 2 * s.H]);
      const double q = to_double(in.saved[at + 3 * s.H]), h = to_double(in.h[n * s.h_row + j]);
      const double g = to_double(in.grad[n * s.H + j]);
      // h' = (1 - z) n + z h, with n = tanh(n_sum), n_sum = n_input + r q, r = sigmoid(r_sum), z = sigmoid(z_sum).
      const double d_candidate = g * (1 - z), d_z = g * (h - candidate);
      const double d_n_sum = d_candidate * (1 - candidate * candidate);
      const double d_r = d_n_sum * q, slope = r * (1 - r);
      e.d_input.set(out, d_r * slope, d_candidate * q * slope);
      e.d_input.set(out + s.H, d_z * z * (1 - z));
      e.d_input.set(out + 2 * s.H, d_n_sum, d_candidate);
      e.d_hidden.set(out, d_r * slope, d_candidate * q * slope);
      e.d_hidden.set(out + s.H, d_z * z * (1 - z));
      e.d_hidden.set(out + 2 * s.H, d_n_sum * r, d_candidate * r);
      e.d_h.set(n * s.H + j, g * z);
    }
  e.d_b_ih = column_sums(e.d_input, s.N, 3 * s.H);
  e.d_b_hh = column_sums(e.d_hidden, s.N, 3 * s.H);
  return e;
}

template <class S>
struct Outputs {
  Buffer<S> d_input, d_hidden, d_h, sums, d_b_ih, d_b_hh;

  // Bits of `wanted`: d_h, d_b_ih, d_b_hh.
  Outputs(const Sizes& s, int wanted)
      : d_input(s.N * 3 * s.H),
        d_hidden(s.N * 3 * s.H),
        d_h(wanted & 1 ? s.N * s.H : 0),
        sums(wanted & 6 ? (s.N + kSummedRows - 1) / kSummedRows * 4 * s.H : 0),
        d_b_ih(wanted & 2 ? 3 * s.H : 0),
        d_b_hh(wanted & 4 ? 3 * s.H : 0) {}
};

constexpr int kAll = 7;

template <class T>
void run(const CellKernels<T>& k, const Sizes& s, const Inputs<T>& in, const Outputs<Compute<T>>& out, int wanted, int parts,
         Random& random) {
  const GatesBackwardArgs<T> args = {in.grad.data(),
                                     in.saved.data(),
                                     in.h.data(),
                                     out.d_input.data(),
                                     out.d_hidden.data(),
                                     wanted & 1 ? out.d_h.data() : nullptr,
                                     wanted & 6 ? out.sums.data() : nullptr,
                                     wanted & 2 ? out.d_b_ih.data() : nullptr,
                                     wanted & 4 ? out.d_b_hh.data() : nullptr,
                                     s.N,
                                     s.H,
                                     s.h_row};
  const int64_t summed = (s.N + kSummedRows - 1) / kSummedRows;
  for (const auto& [begin, end] : random_parts(random, summed, parts))
    k.gates_backward(args, begin * kSummedRows, std::min(end * kSummedRows, s.N));
  if (wanted & 6)
    for (const auto& [begin, end] : random_parts(random, s.H, parts)) k.bias_gradients(args, begin, end);
}

template <class T>
void check_case(const std::vector<Level<T>>& levels, const Sizes& s, const Inputs<T>& in, int wanted, Random& random) {
  using S = Compute<T>;
  const Expected e = reference(s, in);
  for (const Level<T>& level : levels) {
    char text[120];
    std::snprintf(text, sizeof text, "N %d H %d h_row %d wanted %d", int(s.N), int(s.H), int(s.h_row), wanted);
    now_checking("gates_backward", Format<T>::kName, text, level.name);
    const Outputs<S> whole(s, kAll), parts(s, wanted);
    run(level.kernels, s, in, whole, kAll, /*parts=*/1, random);
    const auto near = [](const char* what, const Buffer<S>& got, const Numbers& expected) {
      expect_near(what, got, expected.value, [&](size_t i) { return kRoundings * kEpsilon<S> * expected.size[i]; });
    };
    near("d_input_gates", whole.d_input, e.d_input);
    near("d_hidden_gates", whole.d_hidden, e.d_hidden);
    near("d_h", whole.d_h, e.d_h);
    near("d_b_ih", whole.d_b_ih, e.d_b_ih);
    near("d_b_hh", whole.d_b_hh, e.d_b_hh);

    run(level.kernels, s, in, parts, wanted, /*parts=*/4, random);
    const bool same = parts.d_input.same_bits(whole.d_input) && parts.d_hidden.same_bits(whole.d_hidden) &&
                      parts.d_h.same_bits(whole.d_h) && parts.d_b_ih.same_bits(whole.d_b_ih) &&
                      parts.d_b_hh.same_bits(whole.d_b_hh);
    expect(same, "the numbers depend on the parts or on what else is wanted");
  }
}

// The sums of a batch's groups are added to one another.
template <class T>
void check_add(const std::vector<Level<T>>& levels, int64_t count, Random& random) {
  using S = Compute<T>;
  Buffer<S> from(count), to(count);
  random.fill(from, -1, 1);
  for (const Level<T>& level : levels) {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<S>(i);
    now_checking("gates_backward", Format<T>::kName, "add", level.name);
    level.kernels.add(from.data(), count, to.data());
    bool right = true;
    for (int64_t i = 0; i < count; ++i) right &= to[i] == static_cast<S>(i) + from[i];
    expect(right, "sums are wrong");
  }
}

template <class T>
void check_type(const std::vector<const Kernels*>& all_levels) {
  const auto levels = of_type<T>(all_levels);
  Random random;
  for (const int64_t count : kSizes) check_add(levels, count, random);
  int wanted = 0;
  for (const int64_t H : kSizes)
    for (const int64_t N : kBatch) {
      wanted = (wanted + 1) & kAll;
      const Sizes s = {N, H, wanted & 1 ? H + 5 : H};
      const Inputs<T> in(s, random);
      check_case(levels, s, in, wanted, random);
    }
  // What is not finite in one row reaches that row, and the bias gradients of its unit.
  for (const double bad : {double(NAN), double(INFINITY)})
    for (const int64_t unit : {4, 18}) {
      const Sizes s = {5, 19, 19};
      const Inputs<T> in(s, random);
      in.grad[2 * s.H + unit] = from_double<T>(bad);
      check_case(levels, s, in, kAll, random);
    }
}

}  // namespace

void check_gates_backward(const std::vector<const Kernels*>& levels) {
  check_type<float>(levels);
  check_type<double>(levels);
  check_type<BFloat16>(levels);
  check_type<Half>(levels);
}

}  // namespace gru_ext::cpu
