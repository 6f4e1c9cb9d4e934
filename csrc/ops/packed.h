// Weights packed once for many steps: the class torch.classes.gru_ext.PackedGRU, and the checks of its ops.
#pragma once

#include <torch/custom_class.h>

#include <string>
#include <tuple>
#include <vector>

#include "gru_ext/stream.h"
#include "ops/schema.h"

namespace gru_ext {

// Immutable, so that threads share it and tracers may take it as it is. N rows, L layers of H units: a state is [N, H] of a
// cell and [L, N, H] of a stack, as torch.nn.GRUCell and torch.nn.GRU have it; without N for a single row.
class PackedGRU : public torch::CustomClassHolder {
 public:
  // "float32", "bfloat16" or "int8"; whether it is a stack; whether r acts on h before the product; for each layer w_ih [3H,
  // I], w_hh [3H, H], b_ih and b_hh, each [3H] or, where it is absent, [0]. This is what is saved: plain float32 weights, which
  // another machine packs for itself.
  using State = std::tuple<std::string, bool, bool, std::vector<Tensor>>;

  // Copies the weights. ValueError for anything that does not fit.
  explicit PackedGRU(const State& state);

  const State& state() const { return state_; }
  const Model& model() const { return model_; }
  const gru_info& info() const { return info_; }
  bool stacked() const { return std::get<1>(state_); }
  int64_t hidden_size() const { return info_.output_size; }
  // Multiply-adds in a step of one row.
  int64_t work() const { return work_; }

  c10::SymDimVector state_sizes(const Tensor& x) const;

 private:
  State state_;
  Model model_;
  gru_info info_;
  int64_t work_ = 0;
};

using PackedPtr = c10::intrusive_ptr<PackedGRU>;

// Makes the class known to PyTorch. Every file that registers something of it calls this first: a schema and a kernel are
// refused where they name an unknown class, and nobody knows in which order files are initialised.
void register_packed_gru();

// What the ops gru_ext::packed_step and packed_step.out are called as.
using PackedStep = Tensor(const PackedPtr& packed, const Tensor& x, const OptionalTensor& h);
using PackedStepOut = Tensor&(const PackedPtr& packed, const Tensor& x, const OptionalTensor& h, Tensor& out);

// ValueError for a wrong number of dimensions, RuntimeError for sizes, dtypes and devices; all before any work.
void check_step(const PackedGRU& packed, const Tensor& x, const OptionalTensor& h);
void check_out(const PackedGRU& packed, const Tensor& x, const Tensor& out);

// Uninitialised memory for a state: the numbers of a row lie together, layer after layer, as gru_step_batch wants them.
Tensor new_state(const PackedGRU& packed, const Tensor& x);

}  // namespace gru_ext
