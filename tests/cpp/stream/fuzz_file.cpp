// libFuzzer's entry: whatever the bytes, reading them as a .gru file gives an error or a model that runs.
//
// The lowest bit of the first byte says whether size and checksum are put right first: without that, hardly any input would
// come past them. The rest is the file. With its own main (GRU_EXT_FUZZ_MAIN) the program runs the files and folders that it is
// given, and then changes of them for as many seconds as the first argument says.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "gru_ext/stream.h"

namespace {

uint32_t crc32(const unsigned char* bytes, size_t size) {
  uint32_t value = 0xffffffff;
  for (size_t i = 0; i < size; ++i) {
    value ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value;
}

void put_right(unsigned char* file, size_t size) {
  if (size < 36) return;
  const uint64_t whole = size;
  std::memcpy(file + 24, &whole, sizeof whole);
  const uint32_t checksum = crc32(file, size - 4);
  std::memcpy(file + size - 4, &checksum, sizeof checksum);
}

void run_model(const void* packed, const gru_info& info) {
  void* scratch = std::aligned_alloc(GRU_ALIGNMENT, info.scratch_size);
  std::vector<float> x(static_cast<size_t>(3 * info.input_size), 0.5f), h(static_cast<size_t>(info.state_size));
  if (scratch != nullptr) gru_steps(packed, x.data(), 3, h.data(), nullptr, scratch);
  std::free(scratch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const size_t file_size = size - 1;
  // A block of the heap of just that size, so that a read past the end shows.
  unsigned char* file = static_cast<unsigned char*>(std::malloc(file_size));
  if (file_size > 0) std::memcpy(file, data + 1, file_size);
  if (data[0] & 1) put_right(file, file_size);
  gru_info info;
  if (gru_file_describe(file, file_size, &info) == GRU_OK) {
    void* packed = std::aligned_alloc(GRU_ALIGNMENT, info.packed_size);
    const int error = packed == nullptr ? GRU_ERROR_MEMORY : gru_file_pack(file, file_size, packed, info.packed_size);
    if (error == GRU_OK) {
      if (gru_check(packed, info.packed_size) != GRU_OK) std::abort();
      run_model(packed, info);
    } else if (error != GRU_ERROR_NOT_FINITE && error != GRU_ERROR_MEMORY) {
      std::abort();  // the description promised that it would do
    }
    std::free(packed);
  } else if (gru_file_pack(file, file_size, nullptr, 0) == GRU_OK) {
    std::abort();
  }
  std::free(file);
  return 0;
}
