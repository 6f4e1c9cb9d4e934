// The CPU kernels of every level that this processor runs, and of three more, against the equations in double.
//   kernels_test [LEVEL ...]: only these levels, all by default
//   kernels_test --list: prints the levels
#include "kernels_test.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "check.h"
#include "cpu/kernels/select.h"

int main(int argc, char** argv) {
  using namespace gru_ext::cpu;
  std::vector<const Kernels*> levels = runnable_kernels();
  const Kernels wide_dot = kernels_wide_dot.with(kernels_wide), wide_tiles = kernels_wide_tiles.with(kernels_wide);
  levels.insert(levels.end(), {&kernels_wide, &wide_dot, &wide_tiles});
  if (argc == 2 && std::string(argv[1]) == "--list") {
    for (const Kernels* k : levels) std::printf("%s\n", k->level);
    return EXIT_SUCCESS;
  }
  if (argc > 1) {
    const std::vector<std::string> wanted(argv + 1, argv + argc);
    const auto unwanted = [&](const Kernels* k) { return std::find(wanted.begin(), wanted.end(), k->level) == wanted.end(); };
    levels.erase(std::remove_if(levels.begin(), levels.end(), unwanted), levels.end());
    if (levels.size() != wanted.size()) {
      std::fprintf(stderr, "usage: kernels_test [LEVEL ...], with levels that kernels_test --list prints\n");
      return 2;
    }
  }
  check_forward(levels);
  check_gates_backward(levels);
  check_matmul(levels);
  return summary() ? EXIT_SUCCESS : EXIT_FAILURE;
}
