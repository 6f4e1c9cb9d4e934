#include "ops/checks.h"

#include <c10/util/Exception.h>

namespace gru_ext {
namespace {

void check_rank(const char* name, const Tensor& t) {
  TORCH_CHECK_VALUE(t.dim() == 1 || t.dim() == 2, "GRUCell: Expected ", name, " to be 1D or 2D, got ", t.dim(), "D instead");
}

void check_rows(const char* name, const Tensor& weight, const c10::SymInt& rows) {
  TORCH_CHECK(same_size(weight.sym_size(0), rows), name, " first dim must be 3 * hidden_size = ", rows, ", but got ",
              weight.sym_size(0));
}

void check_shape(const char* name, const Tensor& t, const c10::SymInt& rows, const c10::SymInt& columns) {
  TORCH_CHECK(t.dim() == 2 && same_size(t.sym_size(0), rows) && same_size(t.sym_size(1), columns),
              "gru_ext::_cell_backward: expected ", name, " of shape [", rows, ", ", columns, "], got ", t.sym_sizes());
}

// Whether these are the sizes of a step; false also where one is a symbol.
bool fit_as_numbers(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh) {
  const auto x = input.sym_sizes(), h = hx.sym_sizes(), w = w_ih.sym_sizes(), u = w_hh.sym_sizes();
  for (const auto& sizes : {x, h, w, u})
    if (sizes.size() != 2 || sizes[0].is_heap_allocated() || sizes[1].is_heap_allocated()) return false;
  const int64_t N = h[0].as_int_unchecked(), H = h[1].as_int_unchecked(), I = w[1].as_int_unchecked();
  return x[0].as_int_unchecked() == N && x[1].as_int_unchecked() == I && w[0].as_int_unchecked() == 3 * H &&
         u[0].as_int_unchecked() == 3 * H && u[1].as_int_unchecked() == H;
}

bool has_kernels(const Tensor& t) { return t.is_cpu() || t.is_cuda() || t.is_meta(); }

bool has_fused_dtype(const Tensor& t) {
  const auto dtype = t.scalar_type();
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16 || dtype == at::kHalf;
}

bool matches(const Tensor& t, const Tensor& input, int64_t dim) {
  return t.dim() == dim && t.scalar_type() == input.scalar_type() && t.device() == input.device() && t.layout() == at::kStrided;
}

}  // namespace

void check_ranks(const Tensor& input, const OptionalTensor& hx) {
  check_rank("input", input);
  if (has(hx)) check_rank("hidden", *hx);
}

void check_sizes(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh) {
  if (fit_as_numbers(input, hx, w_ih, w_hh)) return;
  TORCH_CHECK(same_size(input.sym_size(1), w_ih.sym_size(1)), "input has inconsistent input_size: got ", input.sym_size(1),
              " expected ", w_ih.sym_size(1));
  TORCH_CHECK(same_size(input.sym_size(0), hx.sym_size(0)), "Input batch size ", input.sym_size(0),
              " doesn't match hidden0 batch size ", hx.sym_size(0));
  TORCH_CHECK(same_size(hx.sym_size(1), w_hh.sym_size(1)), "hidden0 has inconsistent hidden_size: got ", hx.sym_size(1),
              ", expected ", w_hh.sym_size(1));
  TORCH_CHECK(hx.dim() == 2, "GRUCell: Expected hidden to have as many dimensions as input, got ", hx.dim() - 1,
              "D hidden for 1D input");
  const auto rows = w_hh.sym_size(1) * 3;
  check_rows("weight_ih", w_ih, rows);
  check_rows("weight_hh", w_hh, rows);
}

void check_devices(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                   const OptionalTensor& b_hh) {
  const auto compare = [&](const char* name, const Tensor& t) {
    TORCH_CHECK(t.device() == input.device() || !(t.is_cuda() || input.is_cuda()),
                "Expected all tensors to be on the same device, but found at least two devices, ", input.device(),
                " (input) and ", t.device(), " (", name, ")!");
  };
  compare("hidden", hx);
  compare("weight_ih", w_ih);
  compare("weight_hh", w_hh);
  if (has(b_ih)) compare("bias_ih", *b_ih);
  if (has(b_hh)) compare("bias_hh", *b_hh);
}

void check_backward_sizes(const Tensor& grad, const Tensor& saved, const Tensor& input, const Tensor& hx, const Tensor& w_ih,
                          const Tensor& w_hh) {
  TORCH_CHECK(input.dim() == 2, "gru_ext::_cell_backward: expected input of 2 dimensions, got ", input.dim());
  TORCH_CHECK(hx.dim() == 2, "gru_ext::_cell_backward: expected hx of 2 dimensions, got ", hx.dim());
  const auto N = input.sym_size(0), I = input.sym_size(1), H = hx.sym_size(1);
  check_shape("hx", hx, N, H);
  check_shape("grad", grad, N, H);
  check_shape("saved", saved, N, H * 4);
  check_shape("w_ih", w_ih, H * 3, I);
  check_shape("w_hh", w_hh, H * 3, H);
  for (const Tensor* t : {&grad, &saved, &hx, &w_ih, &w_hh})
    TORCH_CHECK(matches(*t, input, 2), "gru_ext::_cell_backward: expected every tensor to be ", input.scalar_type(), " on ",
                input.device(), " as input is, got ", t->scalar_type(), " on ", t->device());
}

bool fusable(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
             const OptionalTensor& b_hh) {
  if (!has_kernels(input) || !has_fused_dtype(input)) return false;
  for (const Tensor* t : {&input, &hx, &w_ih, &w_hh})
    if (!matches(*t, input, 2)) return false;
  for (const OptionalTensor* b : {&b_ih, &b_hh})
    if (has(*b) && !(matches(**b, input, 1) && same_size((*b)->sym_size(0), w_hh.sym_size(0)))) return false;
  return true;
}

void check_fusable(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                   const OptionalTensor& b_hh) {
  TORCH_CHECK(
      fusable(input, hx, w_ih, w_hh, b_ih, b_hh),
      "gru_ext::_cell_forward: expected dense tensors of one dtype (float16, bfloat16, float32, float64) on one device (CPU or "
      "CUDA) and biases of shape [3 * hidden_size], got input ",
      input.scalar_type(), " on ", input.device(), ", hx ", hx.scalar_type(), " on ", hx.device(), ", w_ih ",
      w_ih.scalar_type(), " on ", w_ih.device(), ", w_hh ", w_hh.scalar_type(), " on ", w_hh.device());
}

}  // namespace gru_ext
