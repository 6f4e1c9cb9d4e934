// What gru_ext/ops.h tells of the instruction-set levels.
#include <c10/util/Exception.h>

#include <stdexcept>

#include "cpu/kernels/select.h"
#include "gru_ext/ops.h"

namespace gru_ext {

std::string cpu_level() {
  try {
    return cpu::kernels().level;
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, error.what());
  }
}

std::vector<std::string> cpu_levels() {
  std::vector<std::string> names;
  for (const cpu::Kernels* k : cpu::runnable_kernels()) names.emplace_back(k->level);
  return names;
}

}  // namespace gru_ext
