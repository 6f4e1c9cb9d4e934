// The parts of kernels_test, one for each kind of kernel.
#pragma once

#include <vector>

#include "cpu/kernels/kernels.h"

namespace gru_ext::cpu {

void check_forward(const std::vector<const Kernels*>& levels);
void check_gates_backward(const std::vector<const Kernels*>& levels);
void check_matmul(const std::vector<const Kernels*>& levels);

}  // namespace gru_ext::cpu
