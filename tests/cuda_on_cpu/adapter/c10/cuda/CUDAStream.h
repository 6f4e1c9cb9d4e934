// For running the CUDA adapter on CPU tensors: there is one stream.
#pragma once

#include <cuda_runtime_api.h>

namespace c10::cuda {
inline cudaStream_t getCurrentCUDAStream() { return nullptr; }
}  // namespace c10::cuda
