#include "ops/packed.h"

#define AT_PER_OPERATOR_HEADERS
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/library.h>

#include "ops/checks.h"

namespace gru_ext {
namespace {

constexpr const char* kTypes[] = {"float32", "bfloat16", "int8"};  // by gru_weight_type
constexpr size_t kOfLayer = 4;                                     // w_ih, w_hh, b_ih, b_hh

gru_weight_type weight_type(const std::string& name) {
  for (int type = GRU_F32; type <= GRU_INT8; ++type)
    if (name == kTypes[type]) return static_cast<gru_weight_type>(type);
  TORCH_CHECK_VALUE(false, "gru_ext.pack: expected weights to be 'float32', 'bfloat16' or 'int8', got '", name, "'");
}

// The pointers of a layer whose tensors fit together.
gru_weights weights_of(const Tensor* t, size_t layer) {
  const auto fits = [](const Tensor& bias, int64_t rows) {
    return bias.dim() == 1 && (bias.size(0) == rows || bias.size(0) == 0);
  };
  const auto pointer = [](const Tensor& bias) { return bias.size(0) == 0 ? nullptr : bias.const_data_ptr<float>(); };
  const bool matrices = t[0].dim() == 2 && t[1].dim() == 2 && t[0].size(0) == t[1].size(0) && t[1].size(0) == 3 * t[1].size(1);
  TORCH_CHECK_VALUE(matrices && fits(t[2], t[1].size(0)) && fits(t[3], t[1].size(0)), "gru_ext.pack: expected layer ", layer,
                    " to have w_ih [3H, I], w_hh [3H, H] and biases [3H], got ", t[0].sizes(), ", ", t[1].sizes(), ", ",
                    t[2].sizes(), " and ", t[3].sizes());
  return {t[0].const_data_ptr<float>(), t[1].const_data_ptr<float>(), pointer(t[2]), pointer(t[3]), t[0].size(1), t[1].size(1)};
}

// A copy in any case: the caller's weights may change, these may not.
Tensor copy_of(const Tensor& t) {
  return t.detach().to(at::device(at::kCPU).dtype(at::kFloat), /*non_blocking=*/false, /*copy=*/true,
                       at::MemoryFormat::Contiguous);
}

void check_dense(const char* name, const Tensor& t) {
  TORCH_CHECK(t.scalar_type() == at::kFloat && (t.is_cpu() || t.is_meta()) && t.layout() == at::kStrided,
              "PackedGRU: expected ", name, " to be a dense float32 tensor on the CPU, got ", t.scalar_type(), ", ", t.layout(),
              ", on ", t.device());
}

// Whether it has the sizes of a state for x. Without the list of PackedGRU::state_sizes: a small step takes no longer than
// making that.
bool has_state_sizes(const PackedGRU& packed, const Tensor& x, const Tensor& t) {
  return t.dim() == x.dim() + packed.stacked() && same_size(t.sym_size(-1), packed.hidden_size()) &&
         (x.dim() == 1 || same_size(t.sym_size(-2), x.sym_size(0))) &&
         (!packed.stacked() || same_size(t.sym_size(0), packed.info().num_layers));
}

void check_state(const char* name, const PackedGRU& packed, const Tensor& x, const Tensor& t) {
  TORCH_CHECK(has_state_sizes(packed, x, t), "PackedGRU: expected ", name, " of shape ",
              c10::SymIntArrayRef(packed.state_sizes(x)), " for x of shape ", x.sym_sizes(), ", got ", t.sym_sizes());
  check_dense(name, t);
}

// The weights are copies: what autograd would compute is not the gradient of anything that can be trained.
void refuse_gradients(const char* name, const Tensor& t) {
  TORCH_CHECK(!(at::GradMode::is_enabled() && t.requires_grad()) && !t._fw_grad(/*level=*/0).defined(),
              "PackedGRU has no gradients, but one of ", name, " is asked for: call it under torch.no_grad() or with ", name,
              ".detach(), or train the model that was packed and pack it again");
}

Tensor step_autograd(c10::DispatchKeySet keys, const PackedPtr& packed, const Tensor& x, const OptionalTensor& h) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("gru_ext::packed_step", "").typed<PackedStep>();
  refuse_gradients("x", x);
  if (has(h)) refuse_gradients("h", *h);
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  return op.redispatch(keys & c10::after_autograd_keyset, packed, x, h);
}

Tensor& step_out_autograd(c10::DispatchKeySet keys, const PackedPtr& packed, const Tensor& x, const OptionalTensor& h,
                          Tensor& out) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("gru_ext::packed_step", "out").typed<PackedStepOut>();
  refuse_gradients("x", x);
  if (has(h)) refuse_gradients("h", *h);
  refuse_gradients("out", out);
  {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    op.redispatch(keys & c10::after_autograd_keyset, packed, x, h, out);
  }
  torch::autograd::increment_version(out);
  return out;
}

Tensor step_meta(const PackedPtr& packed, const Tensor& x, const OptionalTensor& h) {
  check_step(*packed, x, h);
  return new_state(*packed, x);
}

Tensor& step_out_meta(const PackedPtr& packed, const Tensor& x, const OptionalTensor& h, Tensor& out) {
  check_step(*packed, x, h);
  check_out(*packed, x, out);
  return out;
}

}  // namespace

PackedGRU::PackedGRU(const State& state) {
  const auto& [weights, stacked, reset_before, given] = state;
  const gru_weight_type type = weight_type(weights);
  TORCH_CHECK_VALUE(!given.empty() && given.size() % kOfLayer == 0 && (stacked || given.size() == kOfLayer),
                    "gru_ext.pack: expected ", kOfLayer, " parameters for each layer and one layer unless stacked, got ",
                    given.size());
  std::vector<Tensor> parameters;
  for (const Tensor& t : given) parameters.push_back(copy_of(t));
  std::vector<gru_weights> layers;
  for (size_t i = 0; i < parameters.size(); i += kOfLayer) {
    layers.push_back(weights_of(&parameters[i], i / kOfLayer));
    const int64_t I = layers.back().input_size, H = layers.back().hidden_size;
    TORCH_CHECK_VALUE(H == layers.front().hidden_size, "gru_ext.pack: expected all layers to have hidden_size ",
                      layers.front().hidden_size, ", the first one's, got ", H, " in layer ", i / kOfLayer);
    work_ += 3 * H * (I + H);
  }
  model_ = Model::pack(gru_stack{layers.data(), static_cast<int64_t>(layers.size()), reset_before}, type);
  TORCH_CHECK_VALUE(model_, "gru_ext.pack: ", model_.message());
  info_ = model_.info();
  state_ = {weights, stacked, reset_before, std::move(parameters)};
}

c10::SymDimVector PackedGRU::state_sizes(const Tensor& x) const {
  c10::SymDimVector sizes;
  if (stacked()) sizes.push_back(info_.num_layers);
  if (x.dim() == 2) sizes.push_back(x.sym_size(0));
  sizes.push_back(hidden_size());
  return sizes;
}

void check_step(const PackedGRU& packed, const Tensor& x, const OptionalTensor& h) {
  TORCH_CHECK_VALUE(x.dim() == 1 || x.dim() == 2, "PackedGRU: expected x to be 1D or 2D, got ", x.dim(), "D");
  TORCH_CHECK(same_size(x.sym_size(-1), packed.info().input_size), "PackedGRU: expected x to have input_size ",
              packed.info().input_size, " as its last size, got shape ", x.sym_sizes());
  check_dense("x", x);
  if (has(h)) check_state("h", packed, x, *h);
}

void check_out(const PackedGRU& packed, const Tensor& x, const Tensor& out) { check_state("out", packed, x, out); }

Tensor new_state(const PackedGRU& packed, const Tensor& x) {
  c10::SymDimVector sizes = packed.state_sizes(x);
  const bool turn = packed.stacked() && x.dim() == 2;
  if (turn) std::swap(sizes[0], sizes[1]);
  const Tensor made = at::empty_symint(sizes, x.options());
  return turn ? made.transpose(0, 1) : made;
}

void register_packed_gru() {
  static const auto once =
      torch::class_<PackedGRU>("gru_ext", "PackedGRU")
          .def(torch::init([](std::string weights, bool stacked, bool reset_before, std::vector<Tensor> parameters) {
            return c10::make_intrusive<PackedGRU>(
                PackedGRU::State(std::move(weights), stacked, reset_before, std::move(parameters)));
          }))
          .def("level", [](const PackedPtr& self) { return std::string(self->info().level); })
          .def("packed_size", [](const PackedPtr& self) { return static_cast<int64_t>(self->info().packed_size); })
          // Tracers may keep the object itself instead of a fake of it: nothing in it changes.
          .def("tracing_mode", [](const PackedPtr&) { return std::string("real"); })
          .def_pickle([](const PackedPtr& self) { return self->state(); },
                      [](PackedGRU::State state) { return c10::make_intrusive<PackedGRU>(state); });
  static_cast<void>(once);
}

}  // namespace gru_ext

// Not in ops/schema.cpp: the class comes first.
TORCH_LIBRARY_FRAGMENT(gru_ext, m) {
  gru_ext::register_packed_gru();
  const std::string packed = "__torch__.torch.classes.gru_ext.PackedGRU packed";
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
  m.def(torch::schema(("packed_step(" + packed + ", Tensor x, Tensor? h=None) -> Tensor").c_str()), tags);
  // Without the tag: functionalization has no form of an op that returns what it wrote to.
  m.def(torch::schema(("packed_step.out(" + packed + ", Tensor x, Tensor? h=None, *, Tensor(a!) out) -> Tensor(a!)").c_str()));
}

TORCH_LIBRARY_IMPL(gru_ext, Autograd, m) {
  gru_ext::register_packed_gru();
  m.impl("packed_step", gru_ext::step_autograd);
  m.impl("packed_step.out", gru_ext::step_out_autograd);
}

TORCH_LIBRARY_IMPL(gru_ext, Meta, m) {
  gru_ext::register_packed_gru();
  m.impl("packed_step", gru_ext::step_meta);
  m.impl("packed_step.out", gru_ext::step_out_meta);
}
