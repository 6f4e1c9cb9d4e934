// Kernels that break one rule each, and some that break none: shim_test CASE runs one of them. What must happen is in
// test_cuda_on_cpu.py. Where nothing else is said, a block of 64 threads has 33 numbers,
// which leave a gap to the next multiple of 16 bytes.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace {

struct Args {
  float* numbers;
  int count;
};

// ---- Kernels that break no rule

__global__ void block_sum(const Args p) {
  __shared__ float of_warp[32];
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x),
            threads = static_cast<int>(blockDim.x * blockDim.y);
  float v = thread < p.count ? p.numbers[thread] : 0;
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xffffffff, v, lanes);
  if (thread % 32 == 0) of_warp[thread / 32] = v;
  __syncthreads();
  if (thread > 0) return;
  for (int warp = 1; warp < threads / 32; ++warp) v += of_warp[warp];
  p.numbers[blockIdx.x] = v;
}

// Half warps that meet by themselves, one more often than the other.
__global__ void half_warps(const Args p) {
  const bool upper = threadIdx.x >= 16;
  double v = threadIdx.x;
  if (upper)
    v = __shfl_xor_sync(0xffff0000, v, 1);
  else
    for (int i = 0; i < 3; ++i) v = __shfl_xor_sync(0x0000ffff, v, 15);
  p.numbers[threadIdx.x] = static_cast<float>(v);
}

// ---- Shared memory

template <class T>
__global__ void stale_shared_memory(const Args p) {
  __shared__ T table[8][32];
  if (blockIdx.x > 0 && threadIdx.x < 32) p.numbers[threadIdx.x] = static_cast<float>(table[0][threadIdx.x]);
  __syncthreads();
  table[threadIdx.x / 32][threadIdx.x % 32] = 1;
}

__global__ void shared_row_too_far(const Args p) {
  __shared__ float table[2][32];
  table[threadIdx.x / 32][threadIdx.x % 32 + (threadIdx.x == 5 ? p.count : 0)] = 1;
  if (threadIdx.x < 32) p.numbers[threadIdx.x] = table[0][threadIdx.x];
}

__global__ void race(const Args p) {
  __shared__ float numbers[64];
  numbers[threadIdx.x] = 1;
  if (threadIdx.x < 32) p.numbers[threadIdx.x] = numbers[63 - threadIdx.x];
}

// The barrier makes an order of what lies before it and after it, not of what lies between this one and the next.
__global__ void race_after_barrier(const Args p) {
  __shared__ float numbers[64];
  numbers[threadIdx.x] = 1;
  __syncthreads();
  numbers[threadIdx.x] = numbers[63 - threadIdx.x] + 1;
  __syncthreads();
  if (threadIdx.x < 32) p.numbers[threadIdx.x] = numbers[threadIdx.x];
}

// A shuffle is no barrier for memory.
__global__ void race_across_shuffle(const Args p) {
  __shared__ float numbers[64];
  numbers[threadIdx.x] = 1;
  const float v = __shfl_xor_sync(0xffffffff, 1.0f, 1);
  if (threadIdx.x < 32) p.numbers[threadIdx.x] = v + numbers[threadIdx.x ^ 1];
}

// ---- Barriers

__global__ void barrier_of_half_a_block(const Args) {
  if (threadIdx.x < 32) __syncthreads();
}

__global__ void barrier_after_return(const Args) {
  if (threadIdx.x == 7) return;
  __syncthreads();
}

__global__ void two_barriers_for_one(const Args) {
  if (threadIdx.x % 2 == 0)
    __syncthreads();
  else
    __syncthreads();
}

__global__ void barrier_and_shuffle(const Args p) {
  if (threadIdx.x < 32)
    __syncthreads();
  else if (threadIdx.x < 48)
    p.numbers[0] = __shfl_xor_sync(0xffffffff, 1.0f, 1);
  else
    __syncthreads();
}

// ---- Shuffles

__global__ void shuffle_without_itself(const Args p) { p.numbers[threadIdx.x % 32] = __shfl_xor_sync(0xfffffffe, 1.0f, 2); }

__global__ void shuffle_with_two_masks(const Args p) {
  p.numbers[threadIdx.x % 32] = __shfl_xor_sync(threadIdx.x % 32 < 16 ? 0xffffffff : 0xfffffffc, 1.0f, 1);
}

__global__ void shuffle_beyond_the_mask(const Args p) {
  if (threadIdx.x % 32 < 16) p.numbers[threadIdx.x % 32] = __shfl_xor_sync(0x0000ffff, 1.0f, 16);
}

__global__ void shuffle_after_return(const Args p) {
  if (threadIdx.x % 32 > 20) return;
  p.numbers[threadIdx.x % 32] = __shfl_xor_sync(0xffffffff, 1.0f, 1);
}

__global__ void shuffle_then_return(const Args p) {
  if (threadIdx.x % 32 < 20) p.numbers[threadIdx.x % 32] = __shfl_xor_sync(0xffffffff, 1.0f, 1);
}

// ---- Memory of the device

__global__ void misaligned_load(const Args p) {
  if (threadIdx.x == 3) p.numbers[0] = static_cast<float>(__ldg(reinterpret_cast<const uint4*>(p.numbers + 1)).x);
}

__global__ void misaligned_store(const Args p) {
  if (threadIdx.x == 3) __stcg(reinterpret_cast<uint4*>(p.numbers + 2), uint4{1, 2, 3, 4});
}

__global__ void load_past_the_end(const Args p) {
  if (threadIdx.x == 3) p.numbers[0] = __ldg(p.numbers + p.count);
}

__global__ void store_past_the_end(const Args p) {
  if (threadIdx.x == 3) __stcg(p.numbers + p.count, 1.0f);
}

__global__ void store_before_the_beginning(const Args p) {
  if (threadIdx.x == 3) __stcg(p.numbers - 1, 1.0f);
}

// ---- Running them

void must(bool good, const char* what) {
  if (good) return;
  std::printf("FAILED: %s\n", what);
  std::exit(EXIT_FAILURE);
}

std::vector<float> run(void (*kernel)(Args), dim3 grid, dim3 block, int count = 32) {
  std::vector<float> numbers(static_cast<size_t>(count), 1);
  const size_t bytes = numbers.size() * sizeof(float);
  void* memory = nullptr;
  must(cudaMalloc(&memory, bytes) == cudaSuccess, "memory of the device");
  must(cudaMemcpy(memory, numbers.data(), bytes, cudaMemcpyHostToDevice) == cudaSuccess, "a copy to it");
  Args args = {static_cast<float*>(memory), count};
  void* parameters[] = {&args};
  must(cudaLaunchKernel(kernel, grid, block, parameters, 0, nullptr) == cudaSuccess, "a launch");
  args.numbers = nullptr;  // the launch has taken its copy
  must(cudaDeviceSynchronize() == cudaSuccess, "the end of the kernel");
  must(cudaMemcpy(numbers.data(), memory, bytes, cudaMemcpyDeviceToHost) == cudaSuccess, "a copy back");
  must(cudaFree(memory) == cudaSuccess, "giving the memory back");
  return numbers;
}

void sums() {
  const std::vector<float> numbers = run(block_sum, 1, 96);
  must(numbers[0] == 32 && numbers[1] == 1, "the sum of 32 ones is 32");
  must(run(block_sum, 1, dim3(8, 16), 70)[0] == 70, "threads are numbered with x fastest");
}

void halves() {
  const std::vector<float> numbers = run(half_warps, 1, 32);
  must(numbers[0] == 15 && numbers[20] == 21, "each half has exchanged its own numbers");
}

template <class T>
void stale() {
  must(std::isnan(run(stale_shared_memory<T>, 2, 64)[9]), "a block sees what another left in shared memory");
}

void launches() {
  struct Case {
    dim3 grid, block;
    cudaError_t expected;
  };
  const Case cases[] = {{dim3(1), dim3(1024), cudaSuccess},
                        {dim3(1), dim3(1025), cudaErrorInvalidConfiguration},
                        {dim3(1), dim3(32, 33), cudaErrorInvalidConfiguration},
                        {dim3(1), dim3(1, 1, 65), cudaErrorInvalidConfiguration},
                        {dim3(1), dim3(0), cudaErrorInvalidConfiguration},
                        {dim3(0), dim3(32), cudaErrorInvalidConfiguration},
                        {dim3(1, 65536), dim3(32), cudaErrorInvalidConfiguration},
                        {dim3(1, 1, 65536), dim3(32), cudaErrorInvalidConfiguration}};
  Args args = {};
  void* parameters[] = {&args};
  const auto nothing = [](Args) {};
  for (const Case& c : cases) {
    must(cudaLaunchKernel<Args>(nothing, c.grid, c.block, parameters, 0, nullptr) == c.expected, "an answer to a launch");
    must(cudaPeekAtLastError() == c.expected && cudaGetLastError() == c.expected, "the last error");
    must(cudaGetLastError() == cudaSuccess, "asking for the last error clears it");
  }
  must(cudaDeviceSynchronize() == cudaSuccess, "a launch that is no launch does no harm");
}

void memory() {
  void* memory = nullptr;
  char host[8] = {};
  must(cudaMalloc(&memory, 0) == cudaSuccess && memory == nullptr && cudaFree(memory) == cudaSuccess, "no memory");
  must(cudaMalloc(&memory, 8) == cudaSuccess && reinterpret_cast<uintptr_t>(memory) % 16 == 0, "memory for whole packs");
  must(cudaMemcpy(host, memory, 8, cudaMemcpyDeviceToHost) == cudaSuccess && host[7] == -1, "it is all ones at first");
  must(cudaMemcpy(host, memory, 9, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue, "a copy of too much");
  must(cudaMemcpy(memory, host, 8, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue, "a copy the wrong way");
  must(cudaMemset(memory, 5, 8) == cudaSuccess, "setting bytes");
  must(cudaMemcpy(host, memory, 8, cudaMemcpyDeviceToHost) == cudaSuccess && host[0] == 5 && host[7] == 5, "bytes set");
  must(cudaFree(host) == cudaErrorInvalidValue, "freeing what is not of the device");
  must(cudaFree(memory) == cudaSuccess && cudaFree(memory) == cudaErrorInvalidValue, "freeing twice");
}

// What a stream has been given is done when the stream is waited for, and not when another is.
void streams() {
  cudaStream_t one, other;
  must(cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking) == cudaSuccess, "a stream");
  must(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking) == cudaSuccess, "another stream");
  void* memory;
  unsigned char byte = 0;
  must(cudaMalloc(&memory, 1) == cudaSuccess, "memory of the device");
  must(cudaMemsetAsync(memory, 5, 1, one) == cudaSuccess, "work for one stream");
  const auto seen = [&] {
    must(cudaMemcpyAsync(&byte, memory, 1, cudaMemcpyDeviceToHost, other) == cudaSuccess, "work for the other");
    must(cudaStreamSynchronize(other) == cudaSuccess, "waiting for the other");
    return byte;
  };
  must(seen() == 0xff, "the other stream does not wait for the one");
  must(cudaStreamSynchronize(one) == cudaSuccess && seen() == 5, "the work of one stream is done once it is waited for");
  must(cudaStreamDestroy(one) == cudaSuccess && cudaStreamDestroy(other) == cudaSuccess, "the end of the streams");
  must(cudaStreamSynchronize(one) == cudaErrorInvalidResourceHandle, "no stream");
  must(cudaFree(memory) == cudaSuccess, "giving the memory back");
}

}  // namespace

int main(int argc, char** argv) {
  const auto of = [](void (*kernel)(Args), int count = 33) { return [=] { run(kernel, 1, 64, count); }; };
  std::map<std::string, std::function<void()>> cases = {{"sums", sums},
                                                        {"halves", halves},
                                                        {"stale shared memory", stale<float>},
                                                        {"stale shared memory, double", stale<double>},
                                                        {"launches", launches},
                                                        {"memory", memory},
                                                        {"streams", streams}};
#define KERNEL(name) cases[#name] = of(name)
  KERNEL(shared_row_too_far);
  KERNEL(race);
  KERNEL(race_after_barrier);
  KERNEL(race_across_shuffle);
  KERNEL(barrier_of_half_a_block);
  KERNEL(barrier_after_return);
  KERNEL(two_barriers_for_one);
  KERNEL(barrier_and_shuffle);
  KERNEL(shuffle_without_itself);
  KERNEL(shuffle_with_two_masks);
  KERNEL(shuffle_beyond_the_mask);
  KERNEL(shuffle_after_return);
  KERNEL(shuffle_then_return);
  KERNEL(misaligned_load);
  KERNEL(misaligned_store);
  KERNEL(load_past_the_end);
  cases["load_past_the_end, no gap"] = of(load_past_the_end, 32);
  KERNEL(store_past_the_end);
  KERNEL(store_before_the_beginning);
  const auto found = argc == 2 ? cases.find(argv[1]) : cases.end();
  if (found == cases.end()) {
    std::fprintf(stderr, "usage: shim_test CASE, with CASE one of\n");
    for (const auto& [name, run] : cases) std::fprintf(stderr, "%s\n", name.c_str());
    return 2;
  }
  found->second();
  std::printf("%s: ok\n", argv[1]);
  return EXIT_SUCCESS;
}
