// What the functions of gru_ext._C have in common: when they may go past torch.ops.
#pragma once

#include <ATen/PythonTorchFunctionTLS.h>
#include <torch/csrc/jit/frontend/tracer.h>

namespace gru_ext::python {

// Not under a torch function mode, nor under torch.jit.trace, which records calls of torch.ops.
inline bool only_torch_ops_will_do() { return at::impl::torch_function_mode_enabled() || torch::jit::tracer::isTracing(); }

}  // namespace gru_ext::python
