// Steps against the equations in double, for the level that GRU_EXT_ISA names; batches and many steps against single ones.
#include <string>

#include "cell.h"
#include "reference.h"

namespace gru_ext::stream {
namespace {

using cpu::expect_near;
using cpu::now_checking;

void expect(bool good, const char* what) {
  if (good)
    cpu::record(0);
  else
    cpu::fail(what);
}

constexpr const char* kTypes[] = {"float32", "bfloat16", "int8"};
constexpr gru_weight_type kWeightTypes[] = {GRU_F32, GRU_BF16, GRU_INT8};

bool has_dot(const char* level) { return std::strstr(level, "dot") || std::strstr(level, "vnni"); }

// Each of L additions rounds a partial sum of the size of the gates' sums with random sign; the slope of h' in each sum is at
// most about 1. Before the product r * h is rounded again to what the type keeps of activations, and there a last digit of r
// decides about ties: one unit of the last place kept, of h up to 2, for one number.
double tolerance(int64_t length, const Packed& packed) {
  const double sums = 4 * cpu::kEpsilon<float> * std::sqrt(static_cast<double>(length));
  if (!packed.stack.reset_before) return sums;
  const double weight = 1.5 / std::sqrt(static_cast<double>(length));
  if (packed.info().type == GRU_INT8)
    return sums + 2 * weight * 2 / std::fmin(255.0, INT32_MAX / (127.0 * static_cast<double>(length)));
  return has_dot(packed.info().level) && packed.info().type == GRU_BF16 ? sums + 2 * weight * 0x1p-7 : sums;
}

struct Rows {
  Buffer<float> x, h;
  Rows(int64_t rows, int64_t I, int64_t H, Random& random) : x(rows * I), h(rows * H) {
    random.fill(x, -2, 2);
    random.fill(h, -2, 2);
  }
};

void copy(float* to, const float* from, int64_t count) { std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float)); }

void name(const char* what, const Packed& packed, int64_t I, int64_t H) {
  char text[100];
  std::snprintf(text, sizeof text, "I %d H %d layers %d%s", int(I), int(H), int(packed.stack.num_layers),
                packed.stack.reset_before ? " reset before" : "");
  now_checking(what, kTypes[packed.info().type], text, packed.info().level);
}

// T steps at once and one by one, and N streams at once and one by one: the same bits.
void check_many(const Packed& packed, int64_t I, int64_t state, int64_t out, Random& random) {
  const void* model = packed.get();
  float* scratch = packed.scratch.data();
  for (const int64_t count : {1, 2, 3, 5, 8, 13, 32, 37}) {
    const Rows rows(count, I, state, random);
    const Buffer<float> h(state), y(count * out), together(state);
    copy(h.data(), rows.h.data(), state);
    copy(together.data(), rows.h.data(), state);
    gru_steps(model, rows.x.data(), count, together.data(), y.data(), scratch);
    bool same = true;
    for (int64_t t = 0; t < count; ++t) {
      gru_step(model, &rows.x[t * I], h.data(), scratch);
      same &= std::memcmp(&y[t * out], &h[state - out], static_cast<size_t>(out) * sizeof(float)) == 0;
    }
    expect(same && h.same_bits(together), "steps at once give other bits than steps one by one");
    copy(together.data(), rows.h.data(), state);
    gru_steps(model, rows.x.data(), count, together.data(), nullptr, scratch);
    expect(h.same_bits(together), "the state depends on whether outputs are wanted");

    // Rows with NaN between them.
    const int64_t x_row = I + 3, h_row = state + 5;
    const Buffer<float> x(count * x_row - 3), states(count * h_row - 5);
    for (int64_t n = 0; n < count; ++n) {
      copy(&x[n * x_row], &rows.x[n * I], I);
      copy(&states[n * h_row], &rows.h[n * state], state);
    }
    gru_step_batch(model, count, x.data(), x_row, states.data(), h_row, scratch);
    same = true;
    for (int64_t n = 0; n < count; ++n) {
      copy(h.data(), &rows.h[n * state], state);
      gru_step(model, &rows.x[n * I], h.data(), scratch);
      same &= std::memcmp(&states[n * h_row], h.data(), static_cast<size_t>(state) * sizeof(float)) == 0;
      for (int64_t gap = state; n + 1 < count && gap < h_row; ++gap) same &= std::isnan(states[n * h_row + gap]);
    }
    expect(same, "a row of a batch differs from the same row alone, or something was written between rows");
  }
}

void check_cell(int64_t I, int64_t H, int variant, Random& random) {
  const Cell cell(I, H, variant & 3, random);
  for (const gru_weight_type type : kWeightTypes) {
    const Packed packed({&cell.weights, 1, variant >> 2 & 1}, type);
    name("step", packed, I, H);
    const Keeping keeping = {type, has_dot(packed.info().level)};
    const Rows rows(1, I, H, random);
    const std::vector<double> expected =
        reference_step(cell.weights, packed.stack.reset_before, rows.x.data(), rows.h.data(), keeping);
    gru_step(packed.get(), rows.x.data(), rows.h.data(), packed.scratch.data());
    const double allowed = tolerance(I + H + 2, packed);
    expect_near("h", rows.h, expected, [&](size_t) { return allowed; });
    name("many", packed, I, H);
    check_many(packed, I, H, H, random);
  }
}

// A stack equals its cells, each given the new state of the one below.
void check_stack(int reset_before, Random& random) {
  const Cell cells[] = {{17, 33, 3, random}, {33, 9, 1, random}, {9, 31, 0, random}};
  const gru_weights layers[] = {cells[0].weights, cells[1].weights, cells[2].weights};
  for (const gru_weight_type type : kWeightTypes) {
    const Packed stack({layers, 3, reset_before}, type);
    name("stack", stack, 17, 33);
    const Rows rows(1, 17, 73, random);
    const Buffer<float> h(73);
    copy(h.data(), rows.h.data(), 73);
    float *state = h.data(), *x = rows.x.data();
    for (const Cell& cell : cells) {
      const Packed alone({&cell.weights, 1, reset_before}, type);
      gru_step(alone.get(), x, state, alone.scratch.data());
      x = state;
      state += cell.weights.hidden_size;
    }
    gru_step(stack.get(), rows.x.data(), rows.h.data(), stack.scratch.data());
    expect(h.same_bits(rows.h), "a stack differs from its cells one after the other");
    const gru_info info = stack.info();
    expect(info.state_size == 73 && info.output_size == 31 && info.input_size == 17 && info.num_layers == 3, "gru_describe");
    check_many(stack, 17, 73, 31, random);
  }
}

// The largest integers that int8 may come to: all products of a sum have one sign and the largest size, and it is so long that
// activations have less than 8 bits beside the sign.
void check_largest_sums(Random& random) {
  constexpr int64_t I = 70'001, H = 5;
  const Cell cell(I, H, 0, random);
  for (int64_t k = 0; k < cell.w_ih.size(); ++k) cell.w_ih[k] = 1.5f / I;
  const Packed packed({&cell.weights, 1, 0}, GRU_INT8);
  name("largest sums", packed, I, H);
  for (const float all : {1.f, -1.f}) {
    const Rows rows(1, I, H, random);
    for (int64_t k = 0; k < I; ++k) rows.x[k] = all;
    const Keeping keeping = {GRU_INT8, has_dot(packed.info().level)};
    const std::vector<double> expected = reference_step(cell.weights, false, rows.x.data(), rows.h.data(), keeping);
    gru_step(packed.get(), rows.x.data(), rows.h.data(), packed.scratch.data());
    expect_near("h", rows.h, expected, [&](size_t) { return tolerance(I + H + 2, packed); });
  }
}

// float32 and bfloat16 give what the equations make of NaN and infinities; with int8 all of h becomes NaN.
void check_not_finite(Random& random) {
  for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
    for (const bool in_state : {false, true}) {
      const Cell cell(9, 19, 3, random);
      for (const gru_weight_type type : kWeightTypes) {
        const Packed packed({&cell.weights, 1, 0}, type);
        name("not finite", packed, 9, 19);
        const Rows rows(1, 9, 19, random);
        (in_state ? rows.h[18] : rows.x[8]) = static_cast<float>(bad);
        // With int8 NaN, but for z of an infinite sum: NaN as well, because the scale is.
        std::vector<double> expected(19, double(NAN));
        if (type != GRU_INT8)
          expected = reference_step(cell.weights, false, rows.x.data(), rows.h.data(), {type, has_dot(packed.info().level)});
        gru_step(packed.get(), rows.x.data(), rows.h.data(), packed.scratch.data());
        expect_near("h", rows.h, expected, [&](size_t) { return tolerance(30, packed); });
      }
    }
}

// Subnormal inputs count as what they are, or as 0: no result is further off than they are large.
void check_subnormal(Random& random) {
  const Cell cell(9, 19, 0, random);
  for (const gru_weight_type type : kWeightTypes) {
    const Packed packed({&cell.weights, 1, 0}, type);
    name("subnormal", packed, 9, 19);
    const Rows rows(1, 9, 19, random);
    for (int64_t k = 0; k < 9; ++k) rows.x[k] = 1e-40f;
    for (int64_t k = 0; k < 19; ++k) rows.h[k] = -1e-40f;
    gru_step(packed.get(), rows.x.data(), rows.h.data(), packed.scratch.data());
    for (int64_t k = 0; k < 19; ++k) expect(std::fabs(rows.h[k]) < 1e-38, "a subnormal became a normal number");
  }
}

void check_all() {
  Random random;
  int variant = 0;
  constexpr int64_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 31, 33, 64, 65, 129};
  // Every I and every H with four others; 7 variants with and without biases, r before and after, have no factor in common
  // with 15.
  for (int64_t i = 0; i < 15; ++i)
    for (const int64_t step : {0, 4, 7, 11}) check_cell(sizes[i], sizes[(i + step) % 15], ++variant % 7, random);
  check_cell(272, 160, 3, random);
  check_cell(272, 160, 7, random);
  check_cell(3000, 131, 3, random);  // more than a megabyte of any type, so single rows ask for weights early
  for (const int reset_before : {0, 1}) check_stack(reset_before, random);
  check_largest_sums(random);
  check_not_finite(random);
  check_subnormal(random);
}

}  // namespace
}  // namespace gru_ext::stream

//   values_test: checks
//   values_test --level: says which level would be checked
int main(int argc, char** argv) {
  using namespace gru_ext::stream;
  if (argc == 2 && std::strcmp(argv[1], "--level") == 0) {
    Random random;
    const Cell cell(1, 1, 0, random);
    std::printf("%s\n", Packed({&cell.weights, 1, 0}, GRU_F32).info().level);
    return EXIT_SUCCESS;
  }
  check_all();
  return gru_ext::cpu::summary() ? EXIT_SUCCESS : EXIT_FAILURE;
}
