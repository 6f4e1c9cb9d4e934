// What the words of cuda_runtime.h stand on: the thread of a kernel that is running, and what it does together with others.
// A kernel that breaks a rule of CUDA ends the program with a sentence that says which rule, where and by which thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace cuda_on_cpu {

// In the source of a kernel.
struct Place {
  const char* file;
  int line;
};

// Returns once all threads of the block are there.
void barrier(Place place);

// Returns the value that lane (own lane ^ lanes) brought, once all lanes of the mask are there.
uint64_t shuffle_xor(unsigned mask, uint64_t value, int lanes, Place place);

[[noreturn]] void misaligned(const void* p, size_t bytes, Place place);

inline void expect_aligned(const void* p, size_t bytes, Place place) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) misaligned(p, bytes, place);
}

// Puts the work on the stream, or returns what the runtime answers to a launch that no device takes.
cudaError_t launch(const std::function<void()>& thread, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream);

}  // namespace cuda_on_cpu
