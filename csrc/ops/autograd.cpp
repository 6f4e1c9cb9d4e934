// Derivatives of the 2-D op: one fused backward for first order; the decomposition for everything of higher order.
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/library.h>

#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include "ops/checks.h"
#include "ops/decomposition.h"
#include "ops/schema.h"

// Exported by libtorch, but its header needs a JSON library that the wheels do not ship.
namespace at::functorch {
struct DynamicLayer;
TORCH_API const std::vector<DynamicLayer>& getDynamicLayerStack();
}  // namespace at::functorch

namespace gru_ext {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Node;
using torch::autograd::variable_list;

Tensor value_or_undefined(const OptionalTensor& t) { return t.value_or(Tensor()); }

// The backward pass. Saved are the inputs, the parameters themselves (never a packed copy: clients edit them between the
// passes) and r, z, n, q: 4 N H elements. The output is not saved: clients apply in-place ops to it.
struct CellBackward {
  static constexpr bool is_traceable = true;  // compiled autograd may trace it

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Tensor& grad = grads[0];
    OutputMask mask{};
    if (!grad.defined()) return variable_list(mask.size());
    const auto v = ctx->get_saved_variables();
    const Tensor &input = v[0], &hx = v[1], &w_ih = v[2], &w_hh = v[3], &b_ih = v[4], &b_hh = v[5];
    for (size_t i = 0; i < mask.size(); ++i) mask[i] = ctx->needs_input_grad(i);
    const bool differentiable = at::GradMode::is_enabled() || torch::autograd::isFwGradDefined(grad);
    const auto gradients = [&] {
      if (differentiable) {
        const auto [hy, saved] = decomposition::cell_forward(input, hx, w_ih, w_hh, b_ih, b_hh, true);
        return decomposition::cell_backward(grad, saved, input, hx, w_ih, w_hh, mask);
      }
      at::AutoDispatchBelowADInplaceOrView below_autograd;
      return op::cell_backward(grad, v[6], input, hx, w_ih, w_hh, mask);
    };
    auto [d_input, d_hx, d_w_ih, d_w_hh, d_b_ih, d_b_hh] = gradients();
    Tensor* const of_inputs[] = {&d_input, &d_hx, &d_w_ih, &d_w_hh, &d_b_ih, &d_b_hh};
    variable_list result(mask.size());
    for (size_t i = 0; i < mask.size(); ++i)
      if (mask[i]) result[i] = std::move(*of_inputs[i]);
    return result;
  }
};

// Its node in the graph: that of torch::autograd::Function, but made and run without what a single output, which is new, does
// not need: Function::apply writes down sizes, type and device of every input. A step of a loop that trains takes 0.86 times as
// long at 1x3x4, 0.88 at 8x64x64.
struct CellNode final : torch::autograd::CppNode<CellBackward> {
  std::string name() const override { return "GRUCellBackward"; }

  variable_list apply(variable_list&& grads) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return CellBackward::backward(&ctx_, grads);
  }
};

// Nodes are counted by an intrusive_ptr, up to torch 2.12 by a shared_ptr.
template <class Pointer = decltype(torch::autograd::Edge::function)>
auto new_node() {
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<Node>>)
    return std::shared_ptr<CellNode>(new CellNode, [](auto* node) { deleteNode(node); });
  else
    return c10::make_intrusive<CellNode>();
}

// torch.autograd.graph.node_creation_hook, from torch 2.14 on.
template <class Pointer>
auto call_creation_hooks(const Pointer& node, int) -> decltype(fire_node_creation_hooks(node)) {
  fire_node_creation_hooks(node);
}
template <class Pointer>
void call_creation_hooks(const Pointer&, long) {}

Tensor recorded(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const OptionalTensor& b_ih,
                const OptionalTensor& b_hh) {
  const auto node = new_node();
  AutogradContext& ctx = node->ctx_;
  // One edge for each argument, of which those of absent ones lead nowhere.
  node->set_ctx_grad_fn(node);
  node->set_next_edges(torch::autograd::collect_next_edges(input, hx, w_ih, w_hh, b_ih, b_hh));
  node->is_variable_input_.assign(node->num_outputs(), true);
  ctx.set_materialize_grads(false);
  auto [hy, saved] = [&] {
    const at::AutoGradMode no_grad(false);
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    return op::cell_forward(input, hx, w_ih, w_hh, b_ih, b_hh, /*save=*/true);
  }();
  torch::autograd::set_history(hy, node);
  variable_list kept;  // filled one by one: from a list in braces each would be copied twice
  kept.reserve(7);
  for (const Tensor* t : {&input, &hx, &w_ih, &w_hh}) kept.push_back(*t);
  for (const OptionalTensor* b : {&b_ih, &b_hh}) kept.push_back(value_or_undefined(*b));
  kept.push_back(std::move(saved));
  ctx.save_for_backward(std::move(kept));
  node->save_variables_to_ctx();
  call_creation_hooks(node, 0);
  return std::move(hy);
}

Tensor cell_autograd(c10::DispatchKeySet keys, const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                     const OptionalTensor& b_ih, const OptionalTensor& b_hh) {
  bool has_tangent = false, requires_grad = false;
  // By address: torch's own functions of such questions take copies, which count as references.
  for (const Tensor* t : {&input, &hx, &w_ih, &w_hh, has(b_ih) ? &*b_ih : nullptr, has(b_hh) ? &*b_hh : nullptr}) {
    if (t == nullptr || !t->defined()) continue;
    has_tangent |= t->_fw_grad(/*level=*/0).defined();
    requires_grad |= t->requires_grad();
  }
  requires_grad &= at::GradMode::is_enabled();
  // The node has no forward-mode formula, and no meaning below a functorch transform.
  const bool transformed = has_tangent || !at::functorch::getDynamicLayerStack().empty();
  if (transformed || (requires_grad && !fusable(input, hx, w_ih, w_hh, b_ih, b_hh)))
    return decomposition::cell(input, hx, w_ih, w_hh, b_ih, b_hh);
  if (requires_grad) return recorded(input, hx, w_ih, w_hh, b_ih, b_hh);
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  return op::redispatch_cell(keys & c10::after_autograd_keyset, input, hx, w_ih, w_hh, b_ih, b_hh);
}

}  // namespace
}  // namespace gru_ext

TORCH_LIBRARY_IMPL(gru_ext, Autograd, m) {
  m.impl("_cell", gru_ext::cell_autograd);
  m.impl("_cell_forward", torch::autograd::autogradNotImplementedFallback());
  m.impl("_cell_backward", torch::autograd::autogradNotImplementedFallback());
}
