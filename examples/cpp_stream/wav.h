// WAV files with one channel of 16 bits.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace cpp_stream {

// Little-endian numbers of `bytes` bytes.
inline uint32_t number(const std::string& file, size_t at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= static_cast<uint32_t>(static_cast<unsigned char>(file[at + i])) << 8 * i;
  return value;
}

inline std::string encoded(uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i & 0xff);
  return text;
}

// Throws std::runtime_error, one line, where the file cannot be read or has another format or rate.
inline std::vector<int16_t> read_wav(const std::string& path, uint32_t rate) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path + ": cannot be opened");
  const std::string file(std::istreambuf_iterator<char>(stream), {});
  if (file.size() < 12 || file.compare(0, 4, "RIFF") != 0 || file.compare(8, 4, "WAVE") != 0)
    throw std::runtime_error(path + ": not a WAV file");

  bool has_format = false;
  for (size_t at = 12; file.size() - at >= 8;) {
    const std::string name = file.substr(at, 4);
    const size_t size = number(file, at + 4, 4), left = file.size() - (at += 8);
    if (size > left) throw std::runtime_error(path + ": truncated, or its sizes are wrong");
    if (name == "fmt " && size >= 16) {
      // 1: integers; 0xfffe: the same with more words, which start with what kind it is.
      uint32_t kind = number(file, at, 2);
      if (kind == 0xfffe && size >= 26) kind = number(file, at + 24, 2);
      const uint32_t channels = number(file, at + 2, 2), found = number(file, at + 4, 4), bits = number(file, at + 14, 2);
      if (kind != 1 || channels != 1 || found != rate || bits != 16)
        throw std::runtime_error(path + ": expected " + std::to_string(rate) + " Hz, 1 channel, 16 bits, format 1, got " +
                                 std::to_string(found) + " Hz, " + std::to_string(channels) + " channels, " +
                                 std::to_string(bits) + " bits, format " + std::to_string(kind));
      has_format = true;
    } else if (name == "data" && has_format) {
      std::vector<int16_t> samples(size / 2);
      for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<int16_t>(number(file, at + 2 * i, 2));
      return samples;
    }
    at += size + size % 2 < left ? size + size % 2 : left;
  }
  throw std::runtime_error(path + ": a WAV file without samples, or without their format");
}

inline void write_wav(const std::string& path, uint32_t rate, const std::vector<int16_t>& samples) {
  const uint32_t size = static_cast<uint32_t>(2 * samples.size());
  std::string file = "RIFF" + encoded(36 + size, 4) + "WAVEfmt " + encoded(16, 4) + encoded(1, 2) + encoded(1, 2) +
                     encoded(rate, 4) + encoded(2 * rate, 4) + encoded(2, 2) + encoded(16, 2) + "data" + encoded(size, 4);
  for (const int16_t sample : samples) file += encoded(static_cast<uint16_t>(sample), 2);
  std::ofstream stream(path, std::ios::binary);
  stream.write(file.data(), static_cast<std::streamsize>(file.size()));
  if (!stream.flush()) throw std::runtime_error(path + ": cannot be written");
}

}  // namespace cpp_stream
