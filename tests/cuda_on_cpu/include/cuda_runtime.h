// CUDA C++ for a C++ compiler: the words that kernels use beside those of C++, and the launch of a kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "on_cpu/thread.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

// All threads of a kernel run on one thread of the operating system and so share this; poison.cpp finds it among the thread's
// storage, where a section of its own would do too, did g++ not ignore that of a variable in a template.
#define __shared__ static thread_local

#define CUDA_ON_CPU_PLACE const char *on_cpu_file = __builtin_FILE(), int on_cpu_line = __builtin_LINE()
#define CUDA_ON_CPU_HERE \
  cuda_on_cpu::Place { on_cpu_file, on_cpu_line }

inline void __syncthreads(CUDA_ON_CPU_PLACE) { cuda_on_cpu::barrier(CUDA_ON_CPU_HERE); }

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, CUDA_ON_CPU_PLACE) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = cuda_on_cpu::shuffle_xor(mask, bits, lanes, CUDA_ON_CPU_HERE);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
T __ldg(const T* p, CUDA_ON_CPU_PLACE) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16);
  cuda_on_cpu::expect_aligned(p, sizeof(T), CUDA_ON_CPU_HERE);
  return *p;
}

template <class T>
void __stcg(T* p, T value, CUDA_ON_CPU_PLACE) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16);
  cuda_on_cpu::expect_aligned(p, sizeof(T), CUDA_ON_CPU_HERE);
  *p = value;
}

#undef CUDA_ON_CPU_PLACE
#undef CUDA_ON_CPU_HERE

// As inexact as CUDA documents it, 2 + |1.17 x| units in the last place: the product is rounded before it becomes an exponent.
inline float __expf(float x) { return std::exp2(x * 1.4426950408889634f); }

// The reciprocal underflows for denominators past 2^126, as documented.
inline float __fdividef(float x, float y) {
  if (std::fabs(y) > 0x1p126f && std::isfinite(y)) return x * std::copysign(0.0f, y);
  return x / y;
}

// A copy of the argument is taken now; the kernel runs when its stream is waited for.
template <class Args>
cudaError_t cudaLaunchKernel(void (*kernel)(Args), dim3 grid, dim3 block, void** args, size_t shared_bytes = 0,
                             cudaStream_t stream = nullptr) {
  const Args copy = *static_cast<const Args*>(args[0]);
  return cuda_on_cpu::launch([kernel, copy] { kernel(copy); }, grid, block, shared_bytes, stream);
}
