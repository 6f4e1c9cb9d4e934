// The start of a kernel. Every kernel takes one argument, a struct.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace gru_ext::cuda {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class Args>
cudaError_t launch(void (*kernel)(Args), dim3 grid, dim3 block, const Args& args, cudaStream_t stream) {
  void* parameters[] = {const_cast<Args*>(&args)};
  return cudaLaunchKernel(kernel, grid, block, parameters, 0, stream);
}

}  // namespace gru_ext::cuda
