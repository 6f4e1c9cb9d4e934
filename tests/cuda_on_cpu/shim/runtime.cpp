// Streams, errors and the launch of a kernel.
#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "block.h"
#include "memory.h"

struct CUstream_st {
  std::deque<std::function<void()>> work;
};

namespace cuda_on_cpu {
namespace {

// Never freed: work that nobody waited for may outlive main.
std::vector<std::unique_ptr<CUstream_st>>& streams() {
  static auto& all = *new std::vector<std::unique_ptr<CUstream_st>>;
  if (all.empty()) all.push_back(std::make_unique<CUstream_st>());  // the default stream
  return all;
}

CUstream_st* find(cudaStream_t stream) {
  for (const auto& s : streams())
    if (s.get() == stream || stream == nullptr) return s.get();
  return nullptr;
}

void finish(CUstream_st& stream) {
  while (!stream.work.empty()) {
    const auto work = std::move(stream.work.front());
    stream.work.pop_front();
    work();
  }
}

void finish_all() {
  for (const auto& stream : streams()) finish(*stream);
}

cudaError_t last_error = cudaSuccess;

cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  CUstream_st* s = find(stream);
  if (s == nullptr) return answer(cudaErrorInvalidResourceHandle);
  s->work.push_back(std::move(work));
  return cudaSuccess;
}

bool can_copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return in_device_memory(to, bytes) == to_device && in_device_memory(from, bytes) == from_device;
}

// The limits of all GPUs that CUDA 12 and 13 know.
bool in_limits(dim3 grid, dim3 block) {
  const auto within = [](dim3 size, unsigned x, unsigned y, unsigned z) {
    return size.x > 0 && size.y > 0 && size.z > 0 && size.x <= x && size.y <= y && size.z <= z;
  };
  return within(grid, 0x7fffffff, 65535, 65535) && within(block, 1024, 1024, 64) && block.x * block.y * block.z <= 1024;
}

}  // namespace

cudaError_t launch(const std::function<void()>& thread, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream) {
  if (!in_limits(grid, block)) return answer(cudaErrorInvalidConfiguration);
  // Kernels that size their shared memory at launch are not provided for.
  if (shared_bytes != 0) return answer(cudaErrorInvalidValue);
  return enqueue(stream, [thread, grid, block] { run_grid(thread, grid, block); });
}

}  // namespace cuda_on_cpu

using namespace cuda_on_cpu;

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!can_copy(to, from, bytes, kind)) return answer(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::copy_n(static_cast<const char*>(from), bytes, static_cast<char*>(to)); });
}

cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!in_device_memory(to, bytes)) return answer(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::fill_n(static_cast<unsigned char*>(to), bytes, static_cast<unsigned char>(byte)); });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  finish_all();
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  finish_all();
  return error;
}

cudaError_t cudaMemset(void* to, int byte, size_t bytes) {
  finish_all();
  const cudaError_t error = cudaMemsetAsync(to, byte, bytes, nullptr);
  finish_all();
  return error;
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  *pointer = bytes == 0 ? nullptr : allocate_device_memory(bytes);
  return *pointer == nullptr && bytes != 0 ? answer(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  finish_all();
  return pointer == nullptr || free_device_memory(pointer) ? cudaSuccess : answer(cudaErrorInvalidValue);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags > cudaStreamNonBlocking) return answer(cudaErrorInvalidValue);
  streams().push_back(std::make_unique<CUstream_st>());
  *stream = streams().back().get();
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  CUstream_st* s = find(stream);
  if (s == nullptr || s == streams().front().get()) return answer(cudaErrorInvalidResourceHandle);
  finish(*s);
  streams().erase(std::find_if(streams().begin(), streams().end(), [s](const auto& other) { return other.get() == s; }));
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  CUstream_st* s = find(stream);
  if (s == nullptr) return answer(cudaErrorInvalidResourceHandle);
  finish(*s);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  finish_all();
  return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
  }
  return "unrecognized error code";
}
