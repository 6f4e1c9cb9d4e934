#include "stream/file.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace gru_ext::stream {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read from the file as they lie in it");

constexpr unsigned char kMagic[8] = {0x89, 'G', 'R', 'U', '\r', '\n', 0x1a, '\n'};
constexpr uint32_t kVersion = 1;

struct FileHeader {
  unsigned char magic[8];
  uint32_t version, type, num_layers, reset_before;
  uint64_t size;
};
static_assert(sizeof(FileHeader) == kFileHeader);

struct FileLayer {
  uint32_t input_size, hidden_size, biases, zero;
};
static_assert(sizeof(FileLayer) == kFileLayer);

struct Crc32Table {
  uint32_t of_byte[256];
};

constexpr Crc32Table crc32_table() {
  Crc32Table table = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
    table.of_byte[byte] = value;
  }
  return table;
}

constexpr Crc32Table kCrc32 = crc32_table();

uint32_t crc32(const unsigned char* bytes, size_t size) {
  uint32_t value = 0xffffffff;
  for (size_t i = 0; i < size; ++i) value = value >> 8 ^ kCrc32.of_byte[(value ^ bytes[i]) & 0xff];
  return ~value;
}

template <class T>
T read(const void* file, size_t at) {
  T value;
  std::memcpy(&value, static_cast<const unsigned char*>(file) + at, sizeof value);
  return value;
}

FileLayer layer_record(const void* file, int64_t i) {
  return read<FileLayer>(file, kFileHeader + static_cast<size_t>(i) * kFileLayer);
}

// Floats of a layer: below 2^44, so no sum over layers overflows.
uint64_t count(const FileLayer& l) {
  const uint64_t I = l.input_size, H = l.hidden_size;
  return 3 * H * (I + H + (l.biases & 1) + (l.biases >> 1 & 1));
}

gru_weights layer_in_file(const void* file, int64_t i) {
  const FileHeader header = read<FileHeader>(file, 0);
  uint64_t at = kFileHeader + header.num_layers * kFileLayer;
  for (int64_t below = 0; below < i; ++below) at += count(layer_record(file, below)) * sizeof(float);
  const FileLayer l = layer_record(file, i);
  const uint64_t I = l.input_size, H = l.hidden_size;
  const float* next = reinterpret_cast<const float*>(static_cast<const unsigned char*>(file) + at);
  const auto take = [&](uint64_t numbers) {
    const float* here = next;
    next += numbers;
    return here;
  };
  gru_weights w = {};
  w.input_size = static_cast<int64_t>(I);
  w.hidden_size = static_cast<int64_t>(H);
  w.w_ih = take(3 * H * I);
  w.w_hh = take(3 * H * H);
  w.b_ih = l.biases & 1 ? take(3 * H) : nullptr;
  w.b_hh = l.biases & 2 ? take(3 * H) : nullptr;
  return w;
}

// What can be said of a file of `size` bytes by the first kFileHeader of them.
int check_header(const void* file, uint64_t size) {
  if (size < sizeof kMagic || std::memcmp(file, kMagic, sizeof kMagic) != 0) return GRU_ERROR_NOT_GRU;
  if (size < kFileHeader + kFileChecksum) return GRU_ERROR_FILE_SIZE;
  const FileHeader header = read<FileHeader>(file, 0);
  if (header.version != kVersion) return GRU_ERROR_VERSION;
  return header.size == size ? GRU_OK : GRU_ERROR_FILE_SIZE;
}

// Memory for a file.
class Bytes {
 public:
  explicit Bytes(size_t size) : memory_(std::malloc(size)) {}
  ~Bytes() { std::free(memory_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  void* get() const { return memory_; }

 private:
  void* memory_;
};

uint64_t file_size(const Source& source) {
  uint64_t size = kFileHeader + kFileChecksum;
  for (int64_t i = 0; i < source.num_layers; ++i) {
    const gru_weights w = source.layer(source.from, i);
    const uint32_t biases = (w.b_ih != nullptr) | (w.b_hh != nullptr) << 1;
    size += kFileLayer +
            count({static_cast<uint32_t>(w.input_size), static_cast<uint32_t>(w.hidden_size), biases, 0}) * sizeof(float);
  }
  return size;
}

// The stack's pointers and sizes; the type matters to no size.
int check_writable(const gru_stack* stack, int64_t type, bool weights_too, Source* source) {
  const int error = check_stack(stack, weights_too, source);
  PackedHeader ignored;
  return error == GRU_OK ? plan_model(*source, type, &ignored, nullptr) : error;
}

}  // namespace

int open_file(const void* file, size_t size, Source* source, int64_t* type) {
  if (file == nullptr) return GRU_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(file) % alignof(float) != 0) return GRU_ERROR_ALIGNMENT;
  if (const int error = check_header(file, size); error != GRU_OK) return error;
  const FileHeader header = read<FileHeader>(file, 0);
  const size_t checked = size - kFileChecksum;
  if (crc32(static_cast<const unsigned char*>(file), checked) != read<uint32_t>(file, checked)) return GRU_ERROR_CHECKSUM;

  // A checksum is no seal: whoever wants to can make one that is right.
  if (header.num_layers < 1 || header.num_layers > GRU_MAX_LAYERS || header.type > GRU_INT8 || header.reset_before > 1)
    return GRU_ERROR_FIELD;
  uint64_t expected = kFileHeader + header.num_layers * kFileLayer + kFileChecksum;
  if (size < expected) return GRU_ERROR_FILE_SIZE;
  for (int64_t i = 0; i < header.num_layers; ++i) {
    const FileLayer l = layer_record(file, i);
    const bool sizes_good =
        l.input_size >= 1 && l.hidden_size >= 1 && l.input_size <= GRU_MAX_SIZE && l.hidden_size <= GRU_MAX_SIZE;
    if (!sizes_good || l.biases > 3 || l.zero != 0) return GRU_ERROR_FIELD;
    if (i > 0 && l.input_size != layer_record(file, i - 1).hidden_size) return GRU_ERROR_FIELD;
    expected += count(l) * sizeof(float);
  }
  if (size != expected) return GRU_ERROR_FILE_SIZE;
  *source = {header.num_layers, static_cast<int32_t>(header.reset_before), file, layer_in_file};
  *type = header.type;
  return GRU_OK;
}

}  // namespace gru_ext::stream

using namespace gru_ext::stream;

int gru_file_describe(const void* file, size_t file_size, gru_info* info) {
  Source source;
  int64_t type;
  int error = open_file(file, file_size, &source, &type);
  if (error != GRU_OK) return error;
  if (info == nullptr) return GRU_ERROR_NULL;
  PackedHeader header;
  error = plan_model(source, type, &header, nullptr);
  if (error == GRU_OK) *info = describe(header);
  return error;
}

int gru_file_pack(const void* file, size_t file_size, void* memory, size_t size) {
  Source source;
  int64_t type;
  const int error = open_file(file, file_size, &source, &type);
  return error == GRU_OK ? pack_model(source, type, memory, size) : error;
}

int gru_load(const char* path, void** packed) {
  if (path == nullptr || packed == nullptr) return GRU_ERROR_NULL;
  *packed = nullptr;
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) return GRU_ERROR_OPEN;
  // Before memory is asked for: a folder claims to be as large as a file can be.
  alignas(FileHeader) unsigned char begin[kFileHeader] = {};
  const bool begun = std::fread(begin, 1, sizeof begin, file) == sizeof begin || std::ferror(file) == 0;
  const long end = begun && std::fseek(file, 0, SEEK_END) == 0 ? std::ftell(file) : -1;
  int error = end < 0 ? GRU_ERROR_READ : check_header(begin, static_cast<uint64_t>(end));
  const size_t size = error == GRU_OK ? static_cast<size_t>(end) : 1;
  const Bytes bytes(size);
  std::rewind(file);
  if (error == GRU_OK && (bytes.get() == nullptr || std::fread(bytes.get(), 1, size, file) != size)) error = GRU_ERROR_READ;
  std::fclose(file);
  if (error != GRU_OK) return error;

  gru_info info;
  error = gru_file_describe(bytes.get(), size, &info);
  if (error != GRU_OK) return error;
  void* memory = std::aligned_alloc(GRU_ALIGNMENT, info.packed_size);
  error = memory == nullptr ? GRU_ERROR_READ : gru_file_pack(bytes.get(), size, memory, info.packed_size);
  if (error == GRU_OK)
    *packed = memory;
  else
    std::free(memory);
  return error;
}

void gru_free(void* packed) { std::free(packed); }

size_t gru_file_size(const gru_stack* stack) {
  Source source;
  if (check_writable(stack, GRU_F32, /*weights_too=*/false, &source) != GRU_OK) return 0;
  return static_cast<size_t>(file_size(source));
}

int gru_file_write(const gru_stack* stack, gru_weight_type type, void* memory, size_t size) {
  Source source;
  const int error = check_writable(stack, type, /*weights_too=*/true, &source);
  if (error != GRU_OK) return error;
  if (memory == nullptr) return GRU_ERROR_NULL;
  const uint64_t whole = file_size(source);
  if (size < whole) return GRU_ERROR_MEMORY;

  unsigned char* const begin = static_cast<unsigned char*>(memory);
  unsigned char* next = begin;
  const auto put = [&](const void* from, uint64_t bytes) {
    if (from == nullptr) return;
    std::memcpy(next, from, static_cast<size_t>(bytes));
    next += bytes;
  };
  FileHeader header = {{},
                       kVersion,
                       static_cast<uint32_t>(type),
                       static_cast<uint32_t>(source.num_layers),
                       static_cast<uint32_t>(source.reset_before),
                       whole};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  put(&header, sizeof header);
  for (int64_t i = 0; i < source.num_layers; ++i) {
    const gru_weights w = source.layer(source.from, i);
    const uint32_t biases = (w.b_ih != nullptr) | (w.b_hh != nullptr) << 1;
    const FileLayer record = {static_cast<uint32_t>(w.input_size), static_cast<uint32_t>(w.hidden_size), biases, 0};
    put(&record, sizeof record);
  }
  for (int64_t i = 0; i < source.num_layers; ++i) {
    const gru_weights w = source.layer(source.from, i);
    const uint64_t I = static_cast<uint64_t>(w.input_size), gates = 3 * static_cast<uint64_t>(w.hidden_size) * sizeof(float);
    put(w.w_ih, gates * I);
    put(w.w_hh, gates * static_cast<uint64_t>(w.hidden_size));
    put(w.b_ih, gates);
    put(w.b_hh, gates);
  }
  const uint32_t checksum = crc32(begin, static_cast<size_t>(next - begin));
  put(&checksum, sizeof checksum);
  return GRU_OK;
}

int gru_save(const char* path, const gru_stack* stack, gru_weight_type type) {
  if (path == nullptr) return GRU_ERROR_NULL;
  const size_t size = gru_file_size(stack);
  const Bytes bytes(size > 0 ? size : 1);
  if (bytes.get() == nullptr) return GRU_ERROR_WRITE;
  const int error = gru_file_write(stack, type, bytes.get(), size);
  if (error != GRU_OK) return error;
  std::FILE* file = std::fopen(path, "wb");
  if (file == nullptr) return GRU_ERROR_OPEN;
  const bool written = std::fwrite(bytes.get(), 1, size, file) == size;
  // What stays in the buffer is written, or not, when the file is closed.
  return std::fclose(file) == 0 && written ? GRU_OK : GRU_ERROR_WRITE;
}
