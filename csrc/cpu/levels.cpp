#include "cpu/levels.h"

#include <c10/util/Exception.h>

#include <stdexcept>

#include "gru_ext/ops.h"

namespace gru_ext {

const cpu::Kernels& cpu::chosen_kernels() {
  try {
    return kernels();
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, error.what());
  }
}

std::string cpu_level() { return cpu::chosen_kernels().level; }

std::vector<std::string> cpu_levels() {
  std::vector<std::string> names;
  for (const cpu::Kernels* k : cpu::runnable_kernels()) names.emplace_back(k->level);
  return names;
}

}  // namespace gru_ext
