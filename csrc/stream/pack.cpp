// From torch's layout to packed weights. Runs once, so it is plain code for every level.
#include <cmath>
#include <cstring>

#include "stream/levels.h"
#include "stream/source.h"

namespace gru_ext::stream {
namespace {

// Row j of a packed matrix is unit j % P of gate first + j / P of torch's weights.
struct Rows {
  const float* w;  // [3H, K]
  int64_t H, P, first;

  const float* row(int64_t j, int64_t K) const {
    const int64_t gate = first + j / P, unit = j % P;
    return unit < H ? w + (gate * H + unit) * K : nullptr;
  }
};

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

uint32_t to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// The upper half of a float32 that comes nearest to value, where the lower half is what it is; ties to even. Next to a lower
// half that is not 0, an upper half of 0 would make a subnormal, which some processors multiply slowly: the least normal number
// then.
uint32_t upper_half(float value, uint32_t lower) {
  constexpr uint32_t kSign = 0x80000000, kLeastNormal = 0x00800000;
  const uint32_t sign = (to_bits(value) & kSign) >> 16, magnitude = to_bits(value) & ~kSign;
  if (magnitude < kLeastNormal + lower) return sign | (lower == 0 ? 0 : kLeastNormal >> 16);
  const uint32_t down = (magnitude - lower) >> 16, up = down + 1;
  const double size = from_bits(magnitude);
  const double to_down = size - from_bits(down << 16 | lower), to_up = from_bits(up << 16 | lower) - size;
  return sign | (to_down < to_up || (to_down == to_up && down % 2 == 0) ? down : up);
}

// One row of weights as numbers of the type, to be put into words.
class Row {
 public:
  Row(const float* w, int64_t K, uint32_t type, bool dot) : w_(w), K_(w == nullptr ? 0 : K), type_(type), dot_(dot) {
    float largest = 0;
    for (int64_t k = 0; k < K_; ++k) {
      largest = std::fmax(largest, std::fabs(w[k]));
      representable_ &= std::isfinite(w[k]) && (type != GRU_BF16 || std::fabs(w[k]) < kLargestBf16);
    }
    if (type != GRU_INT8 || !representable_) return;
    scale_ = largest / 127;
  }

  uint32_t word(int64_t index) const {
    uint32_t word = 0;
    switch (type_) {
      case GRU_F32:
        return to_bits(weight(index));
      case GRU_BF16:
        word = upper_half(weight(2 * index), 0);
        return word | upper_half(weight(2 * index + 1), dot_ ? 0 : word) << 16;
      default:
        for (int64_t i = 0; i < 4; ++i) word |= (static_cast<uint32_t>(integer(4 * index + i)) & 0xff) << 8 * i;
        return word;
    }
  }

  bool representable() const { return type_ == GRU_F32 || representable_; }
  float scale() const { return scale_; }

 private:
  static constexpr float kLargestBf16 = 0x1.fep127f;

  float weight(int64_t k) const { return k < K_ ? w_[k] : 0; }

  // From -127 to 127, also where scale_ is so small that it was rounded.
  int32_t integer(int64_t k) const {
    const float value = scale_ > 0 ? weight(k) / scale_ : 0;
    return static_cast<int32_t>(std::nearbyint(value < -127 ? -127 : value > 127 ? 127 : value));
  }

  const float* w_;
  int64_t K_;
  uint32_t type_;
  bool dot_, representable_ = true;
  float scale_ = 0;
};

int pack_matrix(const Rows& from, const PackedMatrix& m, uint32_t type, const Kernels& kernels, unsigned char* memory) {
  const int64_t lanes = kernels.lanes, vectors = m.J / lanes, row_words = words(m.K, type);
  const bool halves_apart = type == GRU_INT8 && !kernels.dot;
  for (int64_t j = 0; j < m.J; ++j) {
    const Row row(from.row(j, m.K), m.K, type, kernels.dot);
    if (!row.representable()) return GRU_ERROR_NOT_FINITE;
    if (type == GRU_INT8) reinterpret_cast<float*>(memory + m.scale)[j] = row.scale();
    const int64_t vector = j / lanes, group = vector / kGroup * kGroup, lane = j % lanes;
    const int64_t in_group = vectors - group < kGroup ? vectors - group : kGroup;
    uint32_t* to = reinterpret_cast<uint32_t*>(memory + m.w) + (group * row_words + vector - group) * lanes;
    for (int64_t k = 0; k < row_words; ++k, to += in_group * lanes) {
      const uint32_t word = row.word(k);
      if (halves_apart) {
        const uint16_t halves[2] = {static_cast<uint16_t>(word), static_cast<uint16_t>(word >> 16)};
        for (int64_t i = 0; i < 2; ++i) std::memcpy(reinterpret_cast<uint16_t*>(to) + i * lanes + lane, &halves[i], 2);
      } else {
        to[lane] = word;
      }
    }
  }
  return GRU_OK;
}

void pack_bias(const gru_weights& from, int64_t P, float* to) {
  const int64_t H = from.hidden_size;
  const auto bias = [&](const float* b, int64_t j) { return b == nullptr ? 0 : b[j]; };
  for (int64_t j = 0; j < H; ++j) {
    to[j] = bias(from.b_ih, j) + bias(from.b_hh, j);
    to[P + j] = bias(from.b_ih, H + j) + bias(from.b_hh, H + j);
    to[2 * P + j] = bias(from.b_ih, 2 * H + j);
    to[3 * P + j] = bias(from.b_hh, 2 * H + j);
  }
}

int pack_layer(const gru_weights& from, const PackedLayer& l, const PackedHeader& h, unsigned char* memory) {
  const Kernels& kernels = *level(h.level);
  pack_bias(from, l.P, reinterpret_cast<float*>(memory + l.bias));
  int error = pack_matrix({from.w_ih, l.H, l.P, 0}, l.w_ih, h.type, kernels, memory);
  if (error == GRU_OK) error = pack_matrix({from.w_hh, l.H, l.P, 0}, l.w_hh, h.type, kernels, memory);
  if (error == GRU_OK && h.reset_before) error = pack_matrix({from.w_hh, l.H, l.P, 2}, l.w_hn, h.type, kernels, memory);
  return error;
}

}  // namespace

int plan_model(const Source& source, int64_t type, PackedHeader* header, PackedLayer* layers) {
  Plan plan(source.num_layers, type, source.reset_before, chosen_level());
  for (int64_t i = 0; i < source.num_layers && plan.error() == GRU_OK; ++i) {
    const gru_weights weights = source.layer(source.from, i);
    const PackedLayer planned = plan.add(weights.input_size, weights.hidden_size);
    if (layers != nullptr) layers[i] = planned;
  }
  if (plan.error() == GRU_OK) *header = plan.finish();
  return plan.error();
}

int pack_model(const Source& source, int64_t type, void* memory, size_t size) {
  PackedHeader header;
  int error = plan_model(source, type, &header, nullptr);
  if (error != GRU_OK) return error;
  if (memory == nullptr) return GRU_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(memory) % GRU_ALIGNMENT != 0) return GRU_ERROR_ALIGNMENT;
  if (size < header.size) return GRU_ERROR_MEMORY;

  std::memset(memory, 0, header.size);
  unsigned char* bytes = static_cast<unsigned char*>(memory);
  PackedLayer* records = reinterpret_cast<PackedLayer*>(bytes + sizeof header);
  plan_model(source, type, &header, records);
  for (int64_t i = 0; i < source.num_layers && error == GRU_OK; ++i)
    error = pack_layer(source.layer(source.from, i), records[i], header, bytes);
  // Last, so that memory in which packing failed is no packed model.
  if (error == GRU_OK) std::memcpy(memory, &header, sizeof header);
  return error;
}

int check_stack(const gru_stack* stack, bool weights_too, Source* source) {
  if (stack == nullptr || stack->layers == nullptr) return GRU_ERROR_NULL;
  *source = {stack->num_layers, stack->reset_before, stack->layers,
             [](const void* from, int64_t i) { return static_cast<const gru_weights*>(from)[i]; }};
  if (stack->num_layers < 1 || stack->num_layers > GRU_MAX_LAYERS) return GRU_ERROR_LAYERS;
  for (int64_t i = 0; weights_too && i < stack->num_layers; ++i)
    if (stack->layers[i].w_ih == nullptr || stack->layers[i].w_hh == nullptr) return GRU_ERROR_NULL;
  return GRU_OK;
}

}  // namespace gru_ext::stream

using namespace gru_ext::stream;

size_t gru_stack_packed_size(const gru_stack* stack, gru_weight_type type) {
  Source source;
  PackedHeader header;
  if (check_stack(stack, /*weights_too=*/false, &source) != GRU_OK) return 0;
  return plan_model(source, type, &header, nullptr) == GRU_OK ? static_cast<size_t>(header.size) : 0;
}

int gru_stack_pack(const gru_stack* stack, gru_weight_type type, void* memory, size_t size) {
  Source source;
  const int error = check_stack(stack, /*weights_too=*/true, &source);
  return error == GRU_OK ? pack_model(source, type, memory, size) : error;
}

size_t gru_packed_size(int64_t input_size, int64_t hidden_size, gru_weight_type type) {
  const gru_weights weights = {nullptr, nullptr, nullptr, nullptr, input_size, hidden_size};
  const gru_stack stack = {&weights, 1, 0};
  return gru_stack_packed_size(&stack, type);
}

int gru_pack(const gru_weights* weights, gru_weight_type type, void* memory, size_t size) {
  const gru_stack stack = {weights, 1, 0};
  return gru_stack_pack(&stack, type, memory, size);
}
