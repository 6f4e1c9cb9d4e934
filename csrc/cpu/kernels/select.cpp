#include "cpu/kernels/select.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if GRU_EXT_HAS_TILES
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace gru_ext::cpu {
namespace {

constexpr std::array<std::string_view, 5> kLevels = {"default", "avx2", "avx512", "avx512_vnni_bf16",
                                                     "amx_bf16"};  // lowest first

#if defined(__x86_64__)
// F16C, which __builtin_cpu_supports of older compilers and of clang does not know.
bool has_half_conversion() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

#if GRU_EXT_HAS_TILES
// A program has to ask Linux for the registers, because they make the state of each of its threads 8 KB larger; torch does too.
bool may_use_tiles() {
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;  // of edx
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kBf16) == 0 || (edx & kTile) == 0) return false;
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA; older headers lack them
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
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
  throw std::invalid_argument("GRU_EXT_ISA: expected default, avx2, avx512, avx512_vnni_bf16 or amx_bf16, got '" +
                              std::string(cap) + "'");
}

}  // namespace

std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> levels = {&kernels_default};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_half_conversion()) {
    levels.push_back(&kernels_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
      levels.push_back(&kernels_avx512);
      // VNNI is not needed here, but the stream library's level of this name needs it, and no processor has BF16 without it.
      if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16")) {
        static const Kernels with_dots = kernels_avx512_vnni_bf16.with(kernels_avx512);
        levels.push_back(&with_dots);
#if GRU_EXT_HAS_TILES
        if (may_use_tiles()) {
          static const Kernels with_tiles = kernels_amx_bf16.with(kernels_avx512);
          levels.push_back(&with_tiles);
        }
#endif
      }
    }
  }
#endif
  return levels;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace gru_ext::cpu
