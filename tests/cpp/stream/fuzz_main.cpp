// A small stand-in for libFuzzer: runs the files that it is given, then random changes of them.
//   fuzz SECONDS FILE ...
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

Input changed(Input input, std::mt19937& random) {
  const auto below = [&](size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random); };
  static constexpr uint32_t kNumbers[] = {0,          1,          2,         3, 4, 1024, 1025, 1 << 20, (1 << 20) + 1,
                                          0x7fffffff, 0x80000000, 0xffffffff};
  for (size_t changes = 1 + below(4); changes > 0 && !input.empty(); --changes) {
    switch (below(5)) {
      case 0:
        input[below(input.size())] = static_cast<uint8_t>(below(256));
        break;
      case 1:  // a field of the header or of a layer's record
        for (size_t i = 0, at = 1 + 4 * below(24), number = kNumbers[below(12)]; i < 4 && at + i < input.size(); ++i)
          input[at + i] = static_cast<uint8_t>(number >> 8 * i);
        break;
      case 2:
        input.resize(below(input.size() + 1));
        break;
      case 3:
        input.insert(input.end(), 4 * below(64), static_cast<uint8_t>(below(256)));
        break;
      default:
        input[0] |= 1;
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: fuzz SECONDS FILE ...\n");
    return 2;
  }
  std::vector<Input> corpus;
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    LLVMFuzzerTestOneInput(corpus.back().data(), corpus.back().size());
  }
  std::mt19937 random;  // from a fixed start
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::atof(argv[1]));
  long runs = 0;
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    const Input input = changed(corpus[random() % corpus.size()], random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("Done %ld runs\n", runs);
  return EXIT_SUCCESS;
}
