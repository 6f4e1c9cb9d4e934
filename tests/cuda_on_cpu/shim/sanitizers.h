// What the sanitizers must be told about fibers, and nothing where the shim is compiled without them.
//
// The shim's own code is not compiled with -fsanitize=thread, but with CUDA_ON_CPU_THREAD_SANITIZER defined: that fibers take
// turns on one thread of the operating system makes no order between what they do to memory, only a barrier does.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(CUDA_ON_CPU_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

namespace cuda_on_cpu {

// A stack, and what the sanitizers know it by.
struct Stack {
  const void* bottom = nullptr;
  size_t bytes = 0;
  void* of_address_sanitizer = nullptr;
  void* of_thread_sanitizer = nullptr;
};

// The stack that the caller runs on belongs to one that exists already; others are made.
inline void make_known([[maybe_unused]] Stack& stack, [[maybe_unused]] bool exists) {
#if defined(CUDA_ON_CPU_THREAD_SANITIZER)
  stack.of_thread_sanitizer = exists ? __tsan_get_current_fiber() : __tsan_create_fiber(0);
#endif
}

inline void before_switch([[maybe_unused]] Stack& from, [[maybe_unused]] const Stack& to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.of_address_sanitizer, to.bottom, to.bytes);
#endif
#if defined(CUDA_ON_CPU_THREAD_SANITIZER)
  __tsan_switch_to_fiber(to.of_thread_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
}

// `from` learns where it lies, which only AddressSanitizer knows of the stack that a program begins with.
inline void after_switch([[maybe_unused]] Stack& from, [[maybe_unused]] Stack& to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(to.of_address_sanitizer, &from.bottom, &from.bytes);
#endif
}

// What was done before leave(place) comes before all that is done after a later meet(place).
inline void leave([[maybe_unused]] void* place) {
#if defined(CUDA_ON_CPU_THREAD_SANITIZER)
  __tsan_release(place);
#endif
}

inline void meet([[maybe_unused]] void* place) {
#if defined(CUDA_ON_CPU_THREAD_SANITIZER)
  __tsan_acquire(place);
#endif
}

}  // namespace cuda_on_cpu
