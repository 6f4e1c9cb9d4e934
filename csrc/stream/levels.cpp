#include "stream/levels.h"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace gru_ext::stream {
namespace {

#if defined(__x86_64__)
constexpr const Kernels* kLevels[] = {&kernels_default, &kernels_avx2, &kernels_avx512, &kernels_avx512_vnni_bf16};

// F16C, which __builtin_cpu_supports of older compilers and of clang does not know.
bool has_half_conversion() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#else
constexpr const Kernels* kLevels[] = {&kernels_default};
#endif
constexpr unsigned kCount = sizeof kLevels / sizeof *kLevels;
// On every architecture; of the last one the operators alone make use.
constexpr const char* kNames[] = {"default", "avx2", "avx512", "avx512_vnni_bf16", "amx_bf16"};

}  // namespace

const Kernels* level(unsigned index) { return index < kCount ? kLevels[index] : nullptr; }

bool runs_here(unsigned index) {
  if (index >= kCount) return false;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (index >= 1 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_half_conversion())) return false;
  if (index >= 2 && !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")))
    return false;
  if (index >= 3 && !(__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16"))) return false;
#endif
  return true;
}

int chosen_level() {
  const char* cap = std::getenv("GRU_EXT_ISA");
  const bool capped = cap != nullptr && *cap != '\0';
  int best = 0;
  for (unsigned i = 0; i < sizeof kNames / sizeof *kNames; ++i) {
    if (runs_here(i)) best = static_cast<int>(i);
    if (capped && std::strcmp(cap, kNames[i]) == 0) return best;
  }
  return capped ? -1 : best;
}

}  // namespace gru_ext::stream
