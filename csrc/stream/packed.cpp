#include "stream/packed.h"

#include <cstring>

#include "stream/levels.h"

namespace gru_ext::stream {
namespace {

constexpr uint64_t kMagic = 0x64656b6361707267;  // "grpacked"
constexpr uint32_t kVersion = 2;                 // of the layout
constexpr uint64_t kLargestActivation = 8;       // bytes of a word of activations at any level

uint64_t aligned(uint64_t bytes) { return (bytes + GRU_ALIGNMENT - 1) / GRU_ALIGNMENT * GRU_ALIGNMENT; }

}  // namespace

Plan::Plan(int64_t num_layers, int64_t type, int64_t reset_before, int level_index) {
  if (num_layers < 1 || num_layers > GRU_MAX_LAYERS) error_ = GRU_ERROR_LAYERS;
  if (type != GRU_F32 && type != GRU_BF16 && type != GRU_INT8) error_ = GRU_ERROR_TYPE;
  if (reset_before != 0 && reset_before != 1) error_ = GRU_ERROR_VARIANT;
  if (level_index < 0) error_ = GRU_ERROR_ISA;
  if (error_ != GRU_OK) return;
  header_.magic = kMagic;
  header_.version = kVersion;
  header_.type = static_cast<uint32_t>(type);
  header_.level = static_cast<uint32_t>(level_index);
  header_.reset_before = static_cast<uint32_t>(reset_before);
  header_.size = aligned(sizeof(PackedHeader) + static_cast<uint64_t>(num_layers) * sizeof(PackedLayer));
  lanes_ = level(header_.level)->lanes;
}

// No sum overflows: GRU_MAX_LAYERS layers of GRU_MAX_SIZE units and inputs are below 2^56 bytes.
uint64_t Plan::take(int64_t count, uint64_t bytes) {
  const uint64_t at = header_.size;
  header_.size = aligned(at + static_cast<uint64_t>(count) * bytes);
  return at;
}

PackedMatrix Plan::matrix(int64_t J, int64_t K) {
  PackedMatrix m = {J, K, 0, 0};
  m.w = take(J * words(K, header_.type), sizeof(uint32_t));
  if (header_.type == GRU_INT8) m.scale = take(J, sizeof(float));
  return m;
}

PackedLayer Plan::add(int64_t I, int64_t H) {
  if (error_ != GRU_OK) return {};
  if (I < 1 || H < 1 || I > GRU_MAX_SIZE || H > GRU_MAX_SIZE) error_ = GRU_ERROR_SIZE;
  if (header_.num_layers > 0 && I != header_.output_size) error_ = GRU_ERROR_LAYERS;
  if (error_ != GRU_OK) return {};
  if (header_.num_layers == 0) header_.input_size = I;
  ++header_.num_layers;
  header_.output_size = H;
  header_.state_size += H;

  const int64_t P = (H + lanes_ - 1) / lanes_ * lanes_;
  largest_P_ = P > largest_P_ ? P : largest_P_;
  const int64_t K = I > H ? I : H;
  largest_K_ = K > largest_K_ ? K : largest_K_;
  PackedLayer l = {I, H, P, 0, {}, {}, {}};
  l.bias = take(4 * P, sizeof(float));
  l.w_ih = matrix(3 * P, I);
  l.w_hh = matrix(header_.reset_before ? 2 * P : 3 * P, H);
  if (header_.reset_before) l.w_hn = matrix(P, H);
  return l;
}

PackedHeader Plan::finish() {
  uint64_t used = 0;
  const auto part = [&](int64_t per_row, uint64_t bytes) {
    const uint64_t at = used;
    used = aligned(at + static_cast<uint64_t>(kBlockRows * per_row) * bytes);
    return at;
  };
  ScratchPlan& s = header_.scratch;
  s.input = part(3 * largest_P_, sizeof(float));
  s.hidden = part(3 * largest_P_, sizeof(float));
  s.activations = part(words(largest_K_, header_.type), kLargestActivation);
  s.outputs = part(largest_P_, sizeof(float));
  s.size = used;
  return header_;
}

gru_info describe(const PackedHeader& h) {
  return {h.input_size,
          h.output_size,
          h.state_size,
          h.num_layers,
          static_cast<gru_weight_type>(h.type),
          static_cast<int32_t>(h.reset_before),
          static_cast<size_t>(h.size),
          static_cast<size_t>(h.scratch.size),
          level(h.level)->level};
}

}  // namespace gru_ext::stream

using namespace gru_ext::stream;

int gru_check(const void* packed, size_t size) {
  if (packed == nullptr) return GRU_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(packed) % GRU_ALIGNMENT != 0) return GRU_ERROR_ALIGNMENT;
  if (size < sizeof(PackedHeader)) return GRU_ERROR_NOT_PACKED;
  const PackedHeader& h = header(packed);
  if (h.magic != kMagic || h.version != kVersion || h.size > size) return GRU_ERROR_NOT_PACKED;
  if (level(h.level) == nullptr || !runs_here(h.level)) return GRU_ERROR_MACHINE;
  Plan plan(h.num_layers, h.type, h.reset_before, static_cast<int>(h.level));
  if (plan.error() != GRU_OK) return GRU_ERROR_NOT_PACKED;
  const uint64_t records = sizeof(PackedHeader) + static_cast<uint64_t>(h.num_layers) * sizeof(PackedLayer);
  if (size < records) return GRU_ERROR_NOT_PACKED;
  for (int64_t i = 0; i < h.num_layers; ++i) {
    const PackedLayer& found = layers(packed)[i];
    const PackedLayer planned = plan.add(found.I, found.H);
    if (plan.error() != GRU_OK || std::memcmp(&found, &planned, sizeof planned) != 0) return GRU_ERROR_NOT_PACKED;
  }
  const PackedHeader planned = plan.finish();
  return std::memcmp(&h, &planned, sizeof planned) == 0 ? GRU_OK : GRU_ERROR_NOT_PACKED;
}

gru_info gru_describe(const void* packed) { return describe(header(packed)); }

size_t gru_scratch_size(const void* packed) { return static_cast<size_t>(header(packed).scratch.size); }
