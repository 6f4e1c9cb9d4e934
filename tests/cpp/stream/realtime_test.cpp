// 100,000 steps without an allocation, then steps in a process that may make no system call but to write and to end.
#include <atomic>
#include <cstddef>

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell.h"

namespace {

std::atomic<long> allocations{0};

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// In the place of the C library's; operator new comes down to malloc.
extern "C" {
void* malloc(size_t size) {
  static auto* const real = next<void*(size_t)>("malloc");
  ++allocations;
  return real(size);
}
void* realloc(void* memory, size_t size) {
  static auto* const real = next<void*(void*, size_t)>("realloc");
  ++allocations;
  return real(memory, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  static auto* const real = next<void*(size_t, size_t)>("aligned_alloc");
  ++allocations;
  return real(alignment, size);
}
void free(void* memory) {
  static auto* const real = next<void(void*)>("free");
  ++allocations;
  real(memory);
}
}

namespace gru_ext::stream {
namespace {

constexpr int64_t I = 9, H = 19, T = 16;

struct Memory {
  Packed packed;
  Buffer<float> x, h, y;
  Memory(const gru_stack& stack, gru_weight_type type, Random& random) : packed(stack, type), x(T * I), h(T * 2 * H), y(T * H) {
    random.fill(x, -1, 1);
    random.fill(h, -1, 1);
  }

  // Each function once for each count of steps or streams.
  void run(int64_t count) const {
    gru_step(packed.get(), x.data(), h.data(), packed.scratch.data());
    gru_steps(packed.get(), x.data(), count, h.data(), y.data(), packed.scratch.data());
    gru_step_batch(packed.get(), count, x.data(), I, h.data(), 2 * H, packed.scratch.data());
  }
};

long allocations_of(const Memory& memory) {
  const long before = allocations;
  for (int i = 0; i < 100'000 / T; ++i) memory.run(T);
  return allocations - before;
}

// The kernel ends the process at the first call that is not read, write, exit or sigreturn. The first steps of the process run
// under it, so nothing may be left for a first call to do.
int first_steps_without_system_calls(const Memory& memory) {
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(77);
    for (int64_t count = 0; count <= T; ++count) memory.run(count);
    syscall(SYS_exit, 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int check() {
  Random random;
  const Cell first(I, H, 3, random), second(H, H, 3, random);
  const gru_weights layers[] = {first.weights, second.weights};
  int failures = 0;
  for (const int reset_before : {0, 1})
    for (const gru_weight_type type : {GRU_F32, GRU_BF16, GRU_INT8}) {
      const Memory memory({layers, 2, reset_before}, type, random);
      const int status = first_steps_without_system_calls(memory);
      const long count = allocations_of(memory);
      std::printf("type %d reset_before %d: %ld allocations, system calls: %s\n", int(type), reset_before, count,
                  status == 0    ? "none"
                  : status == 77 ? "not checked, there is no seccomp"
                                 : "some");
      failures += count != 0 || (status != 0 && status != 77);
    }
  // The counter counts.
  const long before = allocations;
  std::free(std::malloc(1 + static_cast<size_t>(before % 2)));
  if (allocations - before != 2) {
    std::printf("the counter of allocations does not count\n");
    ++failures;
  }
  return failures;
}

}  // namespace
}  // namespace gru_ext::stream

int main() { return gru_ext::stream::check() == 0 ? EXIT_SUCCESS : EXIT_FAILURE; }
