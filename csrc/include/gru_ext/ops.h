// The C++ API of gru_ext for programs that use libtorch. Including this header keeps the op library linked, so that the ops
// are registered before a TorchScript model that uses them is loaded.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

namespace gru_ext {

// One step of a gated recurrent unit, differentiable: see gru_ext.gru_cell in Python for the equations.
//   input [N, I] or [I]; hx [N, H] or [H], zeros where absent; w_ih [3H, I]; w_hh [3H, H]; b_ih, b_hh [3H] or absent;
//   gates in the order r, z, n. Returns the next state, [N, H] or [H], in fresh memory.
// Throws c10::ValueError for a wrong number of dimensions, c10::Error for sizes, dtypes or devices that do not fit.
at::Tensor gru_cell(const at::Tensor& input, const std::optional<at::Tensor>& hx, const at::Tensor& w_ih,
                    const at::Tensor& w_hh, const std::optional<at::Tensor>& b_ih = std::nullopt,
                    const std::optional<at::Tensor>& b_hh = std::nullopt);

// The instruction-set level whose kernels run on this machine ("default", "avx2", "avx512", "avx512_vnni_bf16",
// "amx_bf16"), capped by GRU_EXT_ISA.
std::string cpu_level();

// All levels that this library contains and this machine can run, lowest first.
std::vector<std::string> cpu_levels();

// A reference that the linker cannot drop: without one, --as-needed removes a library whose only use is to register ops.
[[gnu::used]] inline auto* const keep_ops_linked = &gru_cell;

}  // namespace gru_ext
