// Memory of the device, in which every access past the end is found.
#pragma once

#include <cstddef>

namespace cuda_on_cpu {

void* allocate_device_memory(size_t bytes);  // null if there is none
bool free_device_memory(void* pointer);      // false if it is not the beginning of such memory
// Whether all of the bytes are in one piece of it that is not freed yet.
bool in_device_memory(const void* pointer, size_t bytes);

}  // namespace cuda_on_cpu
