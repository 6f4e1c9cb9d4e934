// Stands in for libc10_cuda.so where torch has none: the one variable that torch's headers refer to. References to functions
// may stay open until somebody calls them; a reference to a variable is resolved when the library is loaded.
#include <atomic>

namespace c10::cuda::CUDACachingAllocator {

class CUDAAllocator;
std::atomic<CUDAAllocator*> allocator;

}  // namespace c10::cuda::CUDACachingAllocator
