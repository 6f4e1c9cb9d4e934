// For running the CUDA adapter on CPU tensors. PyTorch's CPU operators do not queue, so a launch is waited for.
#pragma once

#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#define C10_CUDA_CHECK(expression)                                \
  do {                                                            \
    const cudaError_t error = (expression);                       \
    TORCH_CHECK(error == cudaSuccess, cudaGetErrorString(error)); \
    cudaDeviceSynchronize();                                      \
  } while (0)
