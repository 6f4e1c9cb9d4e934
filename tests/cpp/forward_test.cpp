// The forward kernel against the equations in double.
#include "kernels_test.h"

#include <cstring>

#include "check.h"
#include "turns.h"

namespace gru_ext::cpu {
namespace {

// Inputs and weights are scaled so that the sums spread as a normal variable of deviation 1 to 1.3, and stay below 6. Each of
// L additions rounds a partial sum of up to that size, with random sign; the roundings of the gates, which activations.h
// states, are few beside them, and the slope of h' in each sum is at most about 1.
template <class T>
double tolerance(int64_t length) {
  return 4 * kEpsilon<T> * std::sqrt(static_cast<double>(length));
}

// The kernel takes 48 rows at a time.
constexpr int64_t kBatch[] = {0, 1, 2, 3, 4, 5, 8, 11, 19, 33, 50};
// With AVX2 it copies up to 480 rows at a time of cells of such a size to panels. Other levels do as with smaller ones.
constexpr int64_t kPanelBatch[] = {50, 97, 530}, kPanelI = 901, kPanelH = 99;
// Weights so far that tiles ask for those that follow, in the types that do; a single row does in float32 and float64.
constexpr int64_t kFarBatch[] = {3, 12}, kFarI = 2500, kFarH = 643;
constexpr int64_t kSizes[] = {0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100};

struct Sizes {
  int64_t N, I, H, x_row, h_row;
};

int64_t strided(int64_t rows, int64_t row, int64_t columns) { return rows == 0 ? 0 : (rows - 1) * row + columns; }

template <class T>
struct Inputs {
  Buffer<T> x, h, w_ih, w_hh, b_ih, b_hh;

  Inputs(const Sizes& s, Random& random)
      : x(strided(s.N, s.x_row, s.I)),
        h(strided(s.N, s.h_row, s.H)),
        w_ih(3 * s.H * s.I),
        w_hh(3 * s.H * s.H),
        b_ih(3 * s.H),
        b_hh(3 * s.H) {
    const double scale = 1.5 / std::sqrt(static_cast<double>(s.I + s.H + 1));
    for (const auto* b : {&w_ih, &w_hh}) random.fill(*b, -scale, scale);
    for (const auto* b : {&b_ih, &b_hh}) random.fill(*b, -1, 1);
    // What lies between the rows stays NaN.
    for (int64_t n = 0; n < s.N; ++n) {
      for (int64_t k = 0; k < s.I; ++k) x[n * s.x_row + k] = from_double<T>(random(-2, 2));
      for (int64_t k = 0; k < s.H; ++k) h[n * s.h_row + k] = from_double<T>(random(-2, 2));
    }
  }
};

struct Expected {
  std::vector<double> hy, saved;
};

template <class T>
Expected reference(const Sizes& s, const Inputs<T>& in, bool with_b_ih, bool with_b_hh) {
  const auto x = in.x.values(), h = in.h.values(), w_ih = in.w_ih.values(), w_hh = in.w_hh.values();
  const auto b_ih = in.b_ih.values(), b_hh = in.b_hh.values();
  Expected e{std::vector<double>(static_cast<size_t>(s.N * s.H)), std::vector<double>(static_cast<size_t>(s.N * 4 * s.H))};
  for (int64_t n = 0; n < s.N; ++n)
    for (int64_t j = 0; j < s.H; ++j) {
      double input[3], hidden[3];
      for (int64_t g = 0; g < 3; ++g) {
        const int64_t row = g * s.H + j;
        input[g] = with_b_ih ? b_ih[row] : 0;
        hidden[g] = with_b_hh ? b_hh[row] : 0;
        for (int64_t k = 0; k < s.I; ++k) input[g] += w_ih[row * s.I + k] * x[n * s.x_row + k];
        for (int64_t k = 0; k < s.H; ++k) hidden[g] += w_hh[row * s.H + k] * h[n * s.h_row + k];
      }
      const double r = 1 / (1 + std::exp(-(input[0] + hidden[0])));
      const double z = 1 / (1 + std::exp(-(input[1] + hidden[1])));
      const double candidate = std::tanh(input[2] + r * hidden[2]);
      const double state = h[n * s.h_row + j];
      e.hy[n * s.H + j] = candidate + z * (state - candidate);
      const double saved[4] = {r, z, candidate, hidden[2]};
      for (int64_t g = 0; g < 4; ++g) e.saved[n * 4 * s.H + g * s.H + j] = saved[g];
    }
  return e;
}

template <class T>
struct Outputs {
  Buffer<T> hy, saved;
  explicit Outputs(const Sizes& s, bool save = true) : hy(s.N * s.H), saved(save ? s.N * 4 * s.H : 0) {}
};

template <class T>
class Case {
 public:
  Case(const Sizes& s, Random& random, int variant)
      : s_(s), in_(s, random), with_b_ih_(variant & 1), with_b_hh_(variant & 2), random_(random) {}

  Inputs<T>& inputs() { return in_; }

  void name(const Level<T>& level) const {
    char text[120];
    std::snprintf(text, sizeof text, "N %d I %d H %d rows %d %d%s%s", int(s_.N), int(s_.I), int(s_.H), int(s_.x_row),
                  int(s_.h_row), with_b_ih_ ? " b_ih" : "", with_b_hh_ ? " b_hh" : "");
    now_checking("forward", Format<T>::kName, text, level.name);
  }

  ForwardArgs<T> arguments(const Outputs<T>& out, bool save) const {
    return {in_.x.data(),
            in_.h.data(),
            in_.w_ih.data(),
            in_.w_hh.data(),
            with_b_ih_ ? in_.b_ih.data() : nullptr,
            with_b_hh_ ? in_.b_hh.data() : nullptr,
            out.hy.data(),
            save ? out.saved.data() : nullptr,
            s_.N,
            s_.I,
            s_.H,
            s_.x_row,
            s_.h_row,
            /*from_end=*/false};
  }

  void run(const CellKernels<T>& k, const ForwardArgs<T>& args, int parts) const {
    for (const auto& [begin, end] : random_parts(random_, s_.H, parts)) {
      const Buffer<Compute<T>> scratch(k.forward_scratch(args.N, s_.I, s_.H));
      k.forward(args, begin, end, scratch.data());
    }
  }

  // Every number of every level; `each` sees the outputs too.
  template <class F>
  void check(const std::vector<Level<T>>& levels, const F& each) const {
    const Expected expected = reference(s_, in_, with_b_ih_, with_b_hh_);
    const double allowed = tolerance<T>(s_.I + s_.H + 2);
    for (const Level<T>& level : levels) {
      name(level);
      const Outputs<T> out(s_);
      run(level.kernels, arguments(out, /*save=*/true), /*parts=*/1);
      expect_near("hy", out.hy, expected.hy, [&](size_t) { return allowed; });
      expect_near("saved", out.saved, expected.saved, [&](size_t) { return allowed; });
      each(level, out);
    }
  }

 private:
  Sizes s_;
  Inputs<T> in_;
  bool with_b_ih_, with_b_hh_;
  Random& random_;
};

// One of eight variants: with and without each bias, rows next to each other and with gaps.
template <class T>
void check_size(const std::vector<Level<T>>& levels, int64_t N, int64_t I, int64_t H, int variant, Random& random) {
  const bool gaps = variant & 4;
  const Sizes s = {N, I, H, gaps ? I + 3 : I, gaps ? H + 5 : H};
  const Case<T> c(s, random, variant);
  c.check(levels, [&](const Level<T>& level, const Outputs<T>& whole) {
    const auto same = [&](const Outputs<T>& other) {
      return other.hy.same_bits(whole.hy) && (other.saved.size() == 0 || other.saved.same_bits(whole.saved));
    };
    const Outputs<T> parts(s), from_end(s), unsaved(s, /*save=*/false), rows(s);
    c.run(level.kernels, c.arguments(parts, /*save=*/true), /*parts=*/4);
    expect(same(parts), "the numbers depend on the parts");
    ForwardArgs<T> args = c.arguments(from_end, /*save=*/true);
    args.from_end = true;
    c.run(level.kernels, args, /*parts=*/2);
    expect(same(from_end), "the numbers depend on the end that the step begins at");
    c.run(level.kernels, c.arguments(unsaved, /*save=*/false), /*parts=*/2);
    expect(same(unsaved), "hy depends on whether the gates are saved");
    for (const auto& [begin, end] : random_parts(random, N, 3))
      c.run(level.kernels, c.arguments(rows, /*save=*/true).rows(begin, end), /*parts=*/1);
    expect(same(rows), "the numbers of a row depend on the rest of the batch");
  });
}

template <class T>
void check_sizes(const std::vector<Level<T>>& levels) {
  Random random;
  int variant = 0;
  const int64_t count = sizeof kSizes / sizeof *kSizes;
  // The borders of I and those of H matter each by itself: a third of the pairs holds every I and every H four times or more.
  for (int64_t pair = 0; pair < count * count; ++pair) {
    if ((pair % count + pair / count) % 3 != 0) continue;
    // 11 batch sizes and 8 variants have no common factor, so each batch size meets each variant.
    for (const int64_t N : kBatch) check_size(levels, N, kSizes[pair % count], kSizes[pair / count], ++variant, random);
  }
  // Rows that are long for every type.
  for (const int64_t N : {1, 2, 7, 50}) check_size(levels, N, 2570, 19, ++variant, random);
  // More than a strip of rows.
  check_size(levels, 400, 850, 19, ++variant, random);
}

template <class T>
void check_panels(const std::vector<Level<T>>& levels) {
  Random random;
  for (const int64_t N : kPanelBatch)
    for (int variant = 0; variant < 8; variant += 3) check_size(levels, N, kPanelI, kPanelH, variant, random);
}

template <class T>
void check_far(const std::vector<Level<T>>& levels) {
  Random random;
  for (const int64_t N : kFarBatch) check_size(levels, N, kFarI, kFarH, /*variant=*/7, random);
}

// NaN and infinities in one row of the batch: the equations say what they become; the other rows do not change by a bit.
template <class T>
void check_not_finite(const std::vector<Level<T>>& levels, const std::vector<int64_t>& batch, int64_t I, int64_t H) {
  Random random;
  for (const int64_t N : batch)
    for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
      for (const bool in_state : {false, true})
        for (const bool last : {false, true}) {
          const Sizes s = {N, I, H, I, H};
          Case<T> c(s, random, 3);
          const int64_t row = N / 2;
          const Buffer<T>& rows = in_state ? c.inputs().h : c.inputs().x;
          T& at = rows[in_state ? row * s.h_row + (last ? s.H - 1 : 4) : row * s.x_row + (last ? s.I - 1 : 4)];
          const T good = at;
          at = from_double<T>(bad);
          c.check(levels, [&](const Level<T>& level, const Outputs<T>& out) {
            const T kept = at;
            at = good;
            const Outputs<T> clean(s);
            c.run(level.kernels, c.arguments(clean, /*save=*/true), /*parts=*/1);
            at = kept;
            for (int64_t n = 0; n < N; ++n)
              if (n != row) {
                const size_t bytes = static_cast<size_t>(s.H) * sizeof(T);
                expect(std::memcmp(&clean.hy[n * s.H], &out.hy[n * s.H], bytes) == 0 &&
                           std::memcmp(&clean.saved[n * 4 * s.H], &out.saved[n * 4 * s.H], 4 * bytes) == 0,
                       "a number that is not finite reached another row of the batch");
              }
          });
        }
}

template <class T>
void check_type(const std::vector<const Kernels*>& levels) {
  check_sizes(of_type<T>(levels));
  check_far(of_type<T>(levels));
  check_not_finite(of_type<T>(levels), {2, 11}, 9, 19);
  std::vector<const Kernels*> avx2;
  for (const Kernels* k : levels)
    if (std::strcmp(k->level, "avx2") == 0) avx2.push_back(k);
  if (avx2.empty()) return;
  check_panels(of_type<T>(avx2));
  check_not_finite(of_type<T>(avx2), {50}, kPanelI, kPanelH);
}

// One way and then the other. Not with steps of other weights between: those may share the turn.
void check_turns() {
  now_checking("turns", "", "", "");
  Turns turns;
  const int weights = 0;
  bool from_end = turns.next(&weights);
  for (int i = 0; i < 5; ++i) {
    expect(turns.next(&weights) != from_end, "a step goes the same way as the one before");
    record(0);
    from_end = !from_end;
  }
}

}  // namespace

void check_forward(const std::vector<const Kernels*>& levels) {
  check_turns();
  check_type<float>(levels);
  check_type<double>(levels);
  check_type<BFloat16>(levels);
  check_type<Half>(levels);
}

}  // namespace gru_ext::cpu
