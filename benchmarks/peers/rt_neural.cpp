// RTNeural's GRU layer, whose sizes are fixed by the compiler, for rt_neural.py, which defines GRU_INPUTS and GRU_UNITS.
#include <RTNeural/RTNeural.h>

#include <cstring>
#include <type_traits>
#include <vector>

namespace {

using Layer = RTNeural::GRULayerT<float, GRU_INPUTS, GRU_UNITS>;
// A float or a vector of floats, as the backend has it.
using Number = std::remove_extent_t<decltype(Layer::outs)>;
constexpr int kLanes = sizeof(Number) / sizeof(float);

struct Cell {
  Layer layer;
  Number input[(GRU_INPUTS + kLanes - 1) / kLanes] = {};
};

std::vector<std::vector<float>> rows_of(const float* matrix, int rows) {
  std::vector<std::vector<float>> result;
  for (int i = 0; i < rows; ++i, matrix += 3 * GRU_UNITS) result.emplace_back(matrix, matrix + 3 * GRU_UNITS);
  return result;
}

}  // namespace

extern "C" {

// Gates in the order z, r, n.
void* gru_rtneural_create(const float* w_ih,      // [I, 3H]
                          const float* w_hh,      // [H, 3H]
                          const float* biases) {  // [2, 3H]
  auto* cell = new Cell;
  cell->layer.setWVals(rows_of(w_ih, GRU_INPUTS));
  cell->layer.setUVals(rows_of(w_hh, GRU_UNITS));
  cell->layer.setBVals(rows_of(biases, 2));
  return cell;
}

void gru_rtneural_destroy(void* cell) { delete static_cast<Cell*>(cell); }

// The layer keeps its state in its output.
void gru_rtneural_step(void* cell,
                       const float* x,  // [I]
                       const float* h,  // [H]
                       float* y) {      // [H]
  auto& [layer, input] = *static_cast<Cell*>(cell);
  std::memcpy(static_cast<void*>(input), x, GRU_INPUTS * sizeof(float));
  std::memcpy(static_cast<void*>(layer.outs), h, GRU_UNITS * sizeof(float));
  layer.forward(input);
  std::memcpy(y, static_cast<const void*>(layer.outs), GRU_UNITS * sizeof(float));
}
}
