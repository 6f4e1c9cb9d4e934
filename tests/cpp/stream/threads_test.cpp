// One model, eight threads with a stream each: the numbers of one thread that does it all. Uses the C++ wrapper.
#include <thread>
#include <vector>

#include "cell.h"

namespace gru_ext::stream {
namespace {

constexpr int64_t I = 17, H = 33, T = 200;
constexpr int kStreams = 8;

std::vector<float> outputs(const Model& model, const float* x) {
  Stream stream(model);
  if (!stream) std::exit(EXIT_FAILURE);
  std::vector<float> y(T * H);
  stream.steps(x, T / 2, y.data());
  for (int64_t t = T / 2; t < T; ++t) std::memcpy(&y[t * H], stream.step(x + t * I), H * sizeof(float));
  // From the beginning again, so reset() is under test.
  std::vector<float> again(T * H);
  stream.reset();
  stream.steps(x, T, again.data());
  if (again != y) {
    std::printf("after a reset the same inputs give other outputs\n");
    std::exit(EXIT_FAILURE);
  }
  return y;
}

bool check(gru_weight_type type) {
  Random random;
  const Cell cell(I, H, 3, random);
  const Model model = Model::pack(cell.weights, type);
  if (!model) stop("Model::pack", model.error());
  const Buffer<float> x(kStreams * T * I);
  random.fill(x, -1, 1);
  std::vector<std::vector<float>> serial, parallel(kStreams);
  for (int s = 0; s < kStreams; ++s) serial.push_back(outputs(model, &x[s * T * I]));
  std::vector<std::thread> threads;
  for (int s = 0; s < kStreams; ++s) threads.emplace_back([&, s] { parallel[s] = outputs(model, &x[s * T * I]); });
  for (std::thread& thread : threads) thread.join();
  return serial == parallel && serial[0] != serial[1];
}

bool check_refusals() {
  const Model nothing, missing = Model::load("/nothing/here.gru"), empty = Model::load("", 0),
                       wrong = Model::pack(gru_weights{}, GRU_F32);
  return !nothing && !missing && missing.error() == GRU_ERROR_OPEN && !empty && empty.error() == GRU_ERROR_NOT_GRU && !wrong;
}

}  // namespace
}  // namespace gru_ext::stream

int main() {
  using namespace gru_ext::stream;
  bool good = check_refusals();
  for (const gru_weight_type type : {GRU_F32, GRU_BF16, GRU_INT8}) {
    const bool same = check(type);
    std::printf("type %d: %s\n", int(type), same ? "equal" : "DIFFERENT");
    good &= same;
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
