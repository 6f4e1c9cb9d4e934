// The bytes of a .gru file in memory: all checks, and the weights in it.
#pragma once

#include "stream/source.h"

namespace gru_ext::stream {

// GRU_OK where every byte of the file is what it must be; source and type are set then.
int open_file(const void* file, size_t size, Source* source, int64_t* type);

// -- What the bytes mean ----------------------------------------------------------------------------------------------------
//
// Little-endian; a file of version 1 is, in this order:
//
//   at  bytes
//    0   8   magic: 89 47 52 55 0d 0a 1a 0a, that is "\x89GRU\r\n\x1a\n", which a transfer as text would change
//    8   4   u32 version: 1
//   12   4   u32 the type to pack the weights as: 0 float32, 1 bfloat16, 2 int8
//   16   4   u32 num_layers: 1 to 1024
//   20   4   u32 reset_before: 0 for torch's equations, 1 where r acts on h before the product
//   24   8   u64 the size of the file in bytes
//   32  16   for each layer: u32 input_size, u32 hidden_size (1 to 2^20 each; the input_size of a layer is the hidden_size of
//   the
//            one below), u32 biases (bit 0: b_ih, bit 1: b_hh), u32 0
//    .   .   for each layer float32 in torch's layout, gates in the order r, z, n: w_ih [3H, I], w_hh [3H, H], b_ih [3H] and
//    b_hh
//            [3H] where there
//  end-4 4   u32 CRC-32 (that of zlib) of all bytes before it
constexpr size_t kFileHeader = 32, kFileLayer = 16, kFileChecksum = 4;

}  // namespace gru_ext::stream
