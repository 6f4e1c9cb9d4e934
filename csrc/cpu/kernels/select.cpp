#include "cpu/kernels/select.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace gru_ext::cpu {
namespace {

constexpr std::array<std::string_view, 3> kLevels = {"default", "avx2", "avx512"};  // lowest first

#if defined(__x86_64__)
// F16C, which __builtin_cpu_supports of older compilers and of clang does not know.
bool has_half_conversion() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

const Kernels& choose() {
  const auto runnable = runnable_kernels();
  const char* cap = std::getenv("GRU_EXT_ISA");
  if (cap == nullptr || *cap == '\0') return *runnable.back();
  const Kernels* chosen = nullptr;
  for (const std::string_view level : kLevels) {
    for (const Kernels* k : runnable)
      if (level == k->level) chosen = k;
    if (level == cap) return *chosen;
  }
  throw std::invalid_argument("GRU_EXT_ISA: expected default, avx2 or avx512, got '" + std::string(cap) + "'");
}

}  // namespace

std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> levels = {&kernels_default};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_half_conversion()) {
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
