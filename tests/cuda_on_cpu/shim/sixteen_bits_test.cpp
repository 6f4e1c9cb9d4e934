// The shim's conversions against the tests' own, which are written from the definition of the formats.
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "formats.h"

namespace gru_ext::cpu {
namespace {

template <class T>
bool same(T a, T b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

template <class T>
[[noreturn]] void fail(const char* conversion, double from, double got, double expected) {
  std::printf("FAILED: %s, %s, of %.9g is %.9g, not %.9g\n", Format<T>::kName, conversion, from, got, expected);
  std::exit(EXIT_FAILURE);
}

template <class T>
void check_narrow(float f, uint16_t (*narrow)(float)) {
  const uint16_t got = narrow(f);
  const T expected = from_double<T>(f);
  if (std::isnan(f) ? got != 0x7fff : got != expected.bits) fail<T>("from float", f, to_double(T{got}), to_double(expected));
}

template <class T>
void check(float (*widen)(uint16_t), uint16_t (*narrow)(float)) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const T number = {static_cast<uint16_t>(bits)}, next = {static_cast<uint16_t>(bits + 1)};
    const float f = widen(number.bits);
    if (!same<double>(f, to_double(number))) fail<T>("to float", bits, f, to_double(number));
    // The number, its neighbour, half way between, and what is next to that.
    const float middle = static_cast<float>((to_double(number) + to_double(next)) / 2);
    for (const float near : {f, middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 2 * middle)})
      check_narrow<T>(near, narrow);
  }
  // Floats all over the range; the stride is prime, so that low bits take every value.
  for (uint64_t bits = 0; bits < 0x100000000; bits += 4099)
    check_narrow<T>(cuda_on_cpu::float_of(static_cast<uint32_t>(bits)), narrow);
  std::printf("%s: ok\n", Format<T>::kName);
}

}  // namespace
}  // namespace gru_ext::cpu

int main() {
  using namespace gru_ext::cpu;
  check<Half>([](uint16_t bits) { return __half2float({bits}); }, [](float f) { return __float2half_rn(f).bits; });
  check<BFloat16>([](uint16_t bits) { return __bfloat162float({bits}); }, [](float f) { return __float2bfloat16_rn(f).bits; });
}
