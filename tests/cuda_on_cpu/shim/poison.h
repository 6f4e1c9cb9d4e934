#pragma once

namespace cuda_on_cpu {

// Sets all `__shared__` memory to ones, NaN in every format, as far as the calling thread of the operating system sees it.
void poison_shared_memory();

}  // namespace cuda_on_cpu
