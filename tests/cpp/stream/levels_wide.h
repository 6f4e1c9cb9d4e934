// Levels that only tests have.
#pragma once

#include "stream/kernels/kernels.h"

namespace gru_ext::stream {

extern const Kernels kernels_wide, kernels_wide_dot;

}  // namespace gru_ext::stream
