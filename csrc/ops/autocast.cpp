// Mixed precision as PyTorch does it for its own cell.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/autocast_mode.h>
#include <ATen/ops/linear.h>
#include <torch/library.h>

#include "ops/checks.h"
#include "ops/decomposition.h"
#include "ops/schema.h"

namespace gru_ext {
namespace {

template <c10::DeviceType device>
Tensor lower(const Tensor& t) {
  return at::autocast::cached_cast(at::autocast::get_autocast_dtype(device), t, device);
}

template <c10::DeviceType device>
OptionalTensor lower(const OptionalTensor& t) {
  return has(t) ? OptionalTensor(lower<device>(*t)) : t;
}

// gru_cell is not on PyTorch's CPU list: only its two linear layers run in low precision, and the state's dtype is promoted.
Tensor cell_autocast_cpu(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                         const OptionalTensor& b_ih, const OptionalTensor& b_hh) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
  check_sizes(input, hx, w_ih, w_hh);
  return decomposition::from_projections(at::linear(lower<at::kCPU>(input), lower<at::kCPU>(w_ih), lower<at::kCPU>(b_ih)),
                                         at::linear(lower<at::kCPU>(hx), lower<at::kCPU>(w_hh), lower<at::kCPU>(b_hh)), hx);
}

// gru_cell is on PyTorch's CUDA list: every argument is cast, so the state comes back in low precision.
Tensor cell_autocast_cuda(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                          const OptionalTensor& b_ih, const OptionalTensor& b_hh) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCUDA);
  return op::cell(lower<at::kCUDA>(input), lower<at::kCUDA>(hx), lower<at::kCUDA>(w_ih), lower<at::kCUDA>(w_hh),
                  lower<at::kCUDA>(b_ih), lower<at::kCUDA>(b_hh));
}

}  // namespace
}  // namespace gru_ext

TORCH_LIBRARY_IMPL(gru_ext, AutocastCPU, m) { m.impl("_cell", gru_ext::cell_autocast_cpu); }
TORCH_LIBRARY_IMPL(gru_ext, AutocastCUDA, m) { m.impl("_cell", gru_ext::cell_autocast_cuda); }
