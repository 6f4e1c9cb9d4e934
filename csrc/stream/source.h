// Where the weights of a model come from: structs of the caller, or a file.
#pragma once

#include "stream/packed.h"

namespace gru_ext::stream {

struct Source {
  int64_t num_layers;
  int32_t reset_before;
  const void* from;
  gru_weights (*layer)(const void* from, int64_t i);
};

// Looks at pointers and the number of layers; the other checks are those of the plan.
int check_stack(const gru_stack* stack, bool weights_too, Source* source);

// Reads sizes only. layers: [num_layers] or null.
int plan_model(const Source& source, int64_t type, PackedHeader* header, PackedLayer* layers);

int pack_model(const Source& source, int64_t type, void* memory, size_t size);

}  // namespace gru_ext::stream
