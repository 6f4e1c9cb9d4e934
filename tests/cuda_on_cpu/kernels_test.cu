// The CUDA kernels against the equations in double.
//   kernels_test [--few] [KERNEL ...]: only these kernels, all by default; with --few a part of the sizes
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cuda_test.h"

int main(int argc, char** argv) {
  using namespace gru_ext;
  struct Check {
    const char* kernel;
    void (*run)(cuda::Extent);
  };
  const Check checks[] = {{"gates_forward", cuda::check_gates_forward},
                          {"gates_backward", cuda::check_gates_backward},
                          {"small_batch_forward", cuda::check_small_batch_forward},
                          {"small_batch_weights", cuda::check_small_batch_weights}};
  std::vector<std::string> wanted(argv + 1, argv + argc);
  const auto few = std::find(wanted.begin(), wanted.end(), "--few");
  const cuda::Extent extent = {few != wanted.end()};
  if (extent.few) wanted.erase(few);
  for (const std::string& kernel : wanted)
    if (std::none_of(std::begin(checks), std::end(checks), [&](const Check& c) { return kernel == c.kernel; })) {
      std::fprintf(stderr, "usage: kernels_test [--few] [KERNEL ...], with KERNEL one of");
      for (const Check& c : checks) std::fprintf(stderr, " %s", c.kernel);
      std::fprintf(stderr, "\n");
      return 2;
    }
  for (const Check& c : checks)
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), c.kernel) != wanted.end()) c.run(extent);
  return cpu::summary() ? EXIT_SUCCESS : EXIT_FAILURE;
}
