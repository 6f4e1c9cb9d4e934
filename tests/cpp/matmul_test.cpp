// matmul against plain sums in double.
#include <cstring>

#include "check.h"
#include "kernels_test.h"

namespace gru_ext::cpu {
namespace {

// The numbers of B are scaled so that those of C spread as a normal variable of deviation 1, and stay below 6. Each of K
// additions rounds a partial sum of up to that size, with random sign; so does the addition to what C held.
template <class T>
double tolerance(int64_t K) {
  return 4 * kEpsilon<T> * std::sqrt(static_cast<double>(K + 1));
}

// Where a level multiplies bfloat16 in pairs or tiles, A is rounded to it: each product by at most 2^-9 of itself, with random
// sign, so the sum by four times that with certainty enough.
double of_rounding_a(const char* level) {
  for (const char* part : {"bf16", "wide_dot", "wide_tiles"})
    if (std::strstr(level, part)) return 4 * 0x1p-9;
  return 0;
}

// Whether A holds numbers of T alone, so that a rounding to T changes nothing.
enum class A { of_type, any };

struct Sizes {
  int64_t M, J, K, b_row;
};

// What is added to the product: nothing, what C held before, or a third matrix.
enum class Added { nothing, to_c, addend };
constexpr const char* kAdded[] = {"", " accumulate", " addend"};

template <class T>
struct Inputs {
  Buffer<Compute<T>> a, transposed, added;  // A by rows and by columns, and what is added to the product
  Buffer<T> b;

  Inputs(const Sizes& s, A kind, Random& random)
      : a(s.M * s.K), transposed(s.M * s.K), added(s.M * s.J), b(s.K == 0 ? 0 : (s.K - 1) * s.b_row + s.J) {
    for (int64_t i = 0; i < a.size(); ++i) {
      const double number = random(-1, 1);
      a[i] = static_cast<Compute<T>>(kind == A::any ? number : to_double(from_double<T>(number)));
    }
    random.fill(added, -1, 1);
    transpose(s);
    const double scale = 3 / std::sqrt(static_cast<double>(s.K + 1));
    for (int64_t k = 0; k < s.K; ++k)
      for (int64_t j = 0; j < s.J; ++j) b[k * s.b_row + j] = from_double<T>(random(-scale, scale));
  }

  void transpose(const Sizes& s) {
    for (int64_t m = 0; m < s.M; ++m)
      for (int64_t k = 0; k < s.K; ++k) transposed[k * s.M + m] = a[m * s.K + k];
  }
};

// A B
template <class T>
std::vector<double> reference(const Sizes& s, const Inputs<T>& in) {
  const auto a = in.a.values(), b = in.b.values();
  std::vector<double> c(static_cast<size_t>(s.M * s.J));
  for (int64_t m = 0; m < s.M; ++m)
    for (int64_t k = 0; k < s.K; ++k)
      for (int64_t j = 0; j < s.J; ++j) c[m * s.J + j] += a[m * s.K + k] * b[k * s.b_row + j];
  return c;
}

template <class T>
MatmulArgs<T> arguments(const Sizes& s, const Inputs<T>& in, bool by_columns, Added added, const Buffer<Compute<T>>& c) {
  if (added == Added::to_c) std::memcpy(c.data(), in.added.data(), static_cast<size_t>(c.size()) * sizeof(Compute<T>));
  return {by_columns ? in.transposed.data() : in.a.data(),
          by_columns ? 1 : s.K,
          by_columns ? s.M : 1,
          in.b.data(),
          s.b_row,
          c.data(),
          s.J,
          s.M,
          s.J,
          s.K,
          added == Added::to_c,
          added == Added::addend ? in.added.data() : nullptr};
}

template <class T>
void run(const CellKernels<T>& k, const MatmulArgs<T>& args, int64_t begin, int64_t end) {
  const Buffer<Compute<T>> scratch(k.matmul_scratch(args));
  k.matmul(args, begin, end, scratch.data());
}

template <class T>
void check_case(const std::vector<Level<T>>& levels, const Sizes& s, A kind, const Inputs<T>& in, Random& random) {
  using S = Compute<T>;
  const std::vector<double> product = reference(s, in), added = in.added.values();
  std::vector<double> sum = product;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += added[i];
  for (const Level<T>& level : levels)
    for (const bool by_columns : {false, true})
      for (const Added what : {Added::nothing, Added::to_c, Added::addend}) {
        char text[120];
        std::snprintf(text, sizeof text, "M %d J %d K %d b_row %d%s%s", int(s.M), int(s.J), int(s.K), int(s.b_row),
                      by_columns ? " A transposed" : "", kAdded[static_cast<int>(what)]);
        now_checking("matmul", Format<T>::kName, text, level.name);
        const Buffer<S> whole(s.M * s.J), rows(s.M * s.J), columns(s.M * s.J);
        run(level.kernels, arguments(s, in, by_columns, what, whole), 0, s.M);
        const double allowed = tolerance<T>(s.K) + (kind == A::any && sizeof(T) == 2 ? of_rounding_a(level.name) : 0);
        expect_near("c", whole, what == Added::nothing ? product : sum, [&](size_t) { return allowed; });
        const auto of_rows = arguments(s, in, by_columns, what, rows), of_columns = arguments(s, in, by_columns, what, columns);
        for (const auto& [begin, end] : random_parts(random, s.M, 3)) run(level.kernels, of_rows, begin, end);
        for (const auto& [begin, end] : random_parts(random, s.J, 2))
          run(level.kernels, of_columns.columns(begin, end), 0, s.M);
        expect(rows.same_bits(whole) && columns.same_bits(whole), "the numbers depend on the parts");
      }
}

// Every combination, each with B dense or with gaps between its rows in turn.
template <class T>
void check_sizes(const std::vector<Level<T>>& levels, A kind, const std::vector<int64_t>& Ms, const std::vector<int64_t>& Js,
                 const std::vector<int64_t>& Ks) {
  Random random;
  bool gaps = false;
  for (const int64_t M : Ms)
    for (const int64_t J : Js)
      for (const int64_t K : Ks) {
        gaps = !gaps;
        const Sizes s = {M, J, K, gaps ? J + 3 : J};
        const Inputs<T> in(s, kind, random);
        check_case(levels, s, kind, in, random);
      }
}

std::vector<int64_t> up_to(int64_t last) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i <= last; ++i) numbers.push_back(i);
  return numbers;
}

template <class T>
void check_type(const std::vector<const Kernels*>& all_levels) {
  const auto levels = of_type<T>(all_levels);
  // All widths of C, in few and in many rows; all heights, with short and longer sums; then the borders of the blocks.
  check_sizes(levels, A::of_type, {1, 5, 21}, up_to(100), {2, 11});
  check_sizes(levels, A::of_type, up_to(34), {1, 17, 50}, {0, 1, 7, 8, 9, 17});
  check_sizes(levels, A::of_type, {3, 4, 5, 200}, {37}, {8, 9, 255, 256, 257, 600});
  check_sizes(levels, A::of_type, {383, 384, 385}, {37}, {9});
  // Transposed rows of A, and rows of B, that are whole pages apart, and are copied.
  check_sizes(levels, A::of_type, {512, 1024}, {37}, {9, 257});
  check_sizes(levels, A::of_type, {15, 30}, {512, 1024}, {9});
  if (sizeof(T) == 2) check_sizes(levels, A::any, {5, 30}, {37}, {9, 64, 257});
  // And rows of both, half pages.
  check_sizes(levels, A::of_type, {512, 1024}, {512}, {9});
  if (std::is_same_v<T, float>) {
    // More than kFarBytes: a C that is stored past the caches, one that is asked for, a B that is.
    check_sizes(levels, A::of_type, {1600}, {1008}, {8, 9});
    check_sizes(levels, A::of_type, {1, 4}, {1008}, {1600});
    // A B that the second-level cache does not hold.
    check_sizes(levels, A::of_type, {9, 50, 300}, {600}, {600});
  }

  // What is not finite reaches its row of C from A, and its column from B.
  Random random;
  for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)}) {
    const Sizes s = {11, 21, 19, 21};
    Inputs<T> in_a(s, A::of_type, random);
    in_a.a[5 * s.K + 18] = static_cast<Compute<T>>(bad);
    in_a.transpose(s);
    check_case(levels, s, A::of_type, in_a, random);
    const Inputs<T> in_b(s, A::of_type, random);
    in_b.b[3 * s.b_row + 20] = from_double<T>(bad);
    check_case(levels, s, A::of_type, in_b, random);
  }
}

}  // namespace

void check_matmul(const std::vector<const Kernels*>& levels) {
  check_type<float>(levels);
  check_type<double>(levels);
  check_type<BFloat16>(levels);
  check_type<Half>(levels);
}

}  // namespace gru_ext::cpu
