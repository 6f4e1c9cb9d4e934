#include "cpu/kernels/select.h"

#include <cstdlib>
#include <stdexcept>

namespace gru_ext::cpu {
namespace {

const Kernels& choose() {
  const auto runnable = runnable_kernels();
  const char* cap = std::getenv("GRU_EXT_ISA");
  if (cap == nullptr || *cap == '\0') return *runnable.back();
  std::string levels;
  for (const Kernels* k : runnable) {
    if (std::string(cap) == k->level) return *k;
    levels += (levels.empty() ? "" : ", ") + std::string(k->level);
  }
  throw std::invalid_argument("GRU_EXT_ISA: expected one of the levels this processor runs (" + levels + "), got '" + cap +
                              "'");
}

}  // namespace

std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> levels = {&kernels_default};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    levels.push_back(&kernels_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
      levels.push_back(&kernels_avx512);
  }
#endif
  return levels;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace gru_ext::cpu
