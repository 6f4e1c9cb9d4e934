// Each kernel at the sizes that its targets speak of, without torch: for profilers, which slow a Python program down, and as
// times to compare with theirs. `one_of_each [REPEATS]` prints the median time of each; 1 runs each once and times nothing.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "cuda/kernels/kernels.h"

namespace gru_ext::cuda {
namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(EXIT_FAILURE);
}

inline void set(float& t, float value) { t = value; }
inline void set(__nv_bfloat16& t, float value) { t = __float2bfloat16(value); }

// Random numbers in [0, 1] in device memory: as states, weights and gates are, and never zeros, on which a GPU runs faster.
template <class T>
class Numbers {
 public:
  explicit Numbers(int64_t count) {
    std::vector<T> host(count);
    std::minstd_rand random(1);
    for (T& t : host) set(t, static_cast<float>(random()) / static_cast<float>(random.max()));
    check(cudaMalloc(&data_, count * sizeof(T)), "cudaMalloc");
    check(cudaMemcpy(data_, host.data(), count * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~Numbers() { cudaFree(data_); }
  Numbers(const Numbers&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_ = nullptr;
};

class Stopwatch {
 public:
  Stopwatch(int repeats) : repeats_(repeats) {
    check(cudaEventCreate(&start_), "cudaEventCreate");
    check(cudaEventCreate(&stop_), "cudaEventCreate");
  }

  // Runs it, and prints its median time: on the device, from the end of what was queued before it to its own end.
  template <class F>
  void operator()(const char* kernel, const char* type, int64_t N, int64_t H, const F& run) {
    std::vector<float> times;
    for (int i = 0; i < repeats_; ++i) {
      float milliseconds = 0;
      check(cudaEventRecord(start_), "cudaEventRecord");
      check(run(), kernel);
      check(cudaEventRecord(stop_), "cudaEventRecord");
      check(cudaEventSynchronize(stop_), kernel);
      check(cudaEventElapsedTime(&milliseconds, start_, stop_), "cudaEventElapsedTime");
      times.push_back(milliseconds);
    }
    if (repeats_ < 2) return;
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    std::printf("%-22s %-5s N %5lld H %5lld %8.2f us\n", kernel, type, static_cast<long long>(N), static_cast<long long>(H),
                1e3 * static_cast<double>(times[times.size() / 2]));
  }

 private:
  int repeats_;
  cudaEvent_t start_, stop_;
};

template <class T>
void gates(Stopwatch& time, const char* type, int64_t N, int64_t H) {
  const Numbers<T> input(N * 3 * H), hidden(N * 3 * H), h(N * H), b_ih(3 * H), b_hh(3 * H), hy(N * H), saved(N * 4 * H);
  const GatesForwardArgs<T> infers = {input, hidden, h, b_ih, b_hh, hy, nullptr, N, H, H};
  const GatesForwardArgs<T> trains = {input, hidden, h, b_ih, b_hh, hy, saved, N, H, H};
  time("gates_forward", type, N, H, [&] { return gates_forward(infers, nullptr); });
  time("gates_forward, saved", type, N, H, [&] { return gates_forward(trains, nullptr); });
  const Numbers<T> grad(N * H), d_h(N * H);
  const Numbers<Compute<T>> sums(gates_backward_slabs<T>(N, H) * 4 * H);
  const GatesBackwardArgs<T> all = {grad, saved, h, input, hidden, d_h, b_ih, b_hh, sums, N, H, H};
  const GatesBackwardArgs<T> unbiased = {grad, saved, h, input, hidden, d_h, nullptr, nullptr, nullptr, N, H, H};
  time("gates_backward", type, N, H, [&] { return gates_backward(all, nullptr); });
  time("gates_backward, no bias", type, N, H, [&] { return gates_backward(unbiased, nullptr); });
}

template <class T>
void small_batch(Stopwatch& time, const char* type, int64_t N, int64_t H) {
  const Numbers<T> x(N * H), h(N * H), w_ih(3 * H * H), w_hh(3 * H * H), b_ih(3 * H), b_hh(3 * H), hy(N * H);
  const SmallBatchArgs<T> step = {x, h, w_ih, w_hh, b_ih, b_hh, hy, nullptr, N, H, H, H, H};
  time("small_batch_forward", type, N, H, [&] { return small_batch_forward(step, nullptr); });
  const Numbers<T> d_input(N * 3 * H), d_hidden(N * 3 * H);
  const SmallBatchWeightsArgs<T> outer = {d_input, d_hidden, x, h, w_ih, w_hh, N, H, H, H, H};
  time("small_batch_weights", type, N, H, [&] { return small_batch_weights(outer, nullptr); });
}

template <class T>
void everything(Stopwatch& time, const char* type) {
  gates<T>(time, type, 1024, 2048);
  for (const int64_t N : {1, 8})
    for (const int64_t H : {256, 1024}) small_batch<T>(time, type, N, H);
}

}  // namespace
}  // namespace gru_ext::cuda

int main(int argc, char** argv) {
  gru_ext::cuda::Stopwatch time(argc > 1 ? std::max(1, std::atoi(argv[1])) : 50);
  gru_ext::cuda::everything<float>(time, "f32");
  gru_ext::cuda::everything<__nv_bfloat16>(time, "bf16");
  return EXIT_SUCCESS;
}
