#include "order.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>

namespace cuda_on_cpu {
namespace {

const std::string& wanted() {
  static const std::string order = [] {
    const char* value = std::getenv("CUDA_ON_CPU_ORDER");
    const std::string text = value == nullptr ? "forward" : value;
    const bool number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (text != "forward" && text != "reverse" && !number) {
      std::fprintf(stderr, "CUDA_ON_CPU_ORDER is forward, reverse or a number, not %s\n", text.c_str());
      std::exit(2);
    }
    return text;
  }();
  return order;
}

}  // namespace

std::vector<size_t> next_order(size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  if (wanted() == "forward") return order;
  if (wanted() == "reverse") {
    std::reverse(order.begin(), order.end());
    return order;
  }
  static std::minstd_rand random(static_cast<unsigned>(std::strtoul(wanted().c_str(), nullptr, 10)));
  // Not std::shuffle, whose result may differ from one library to another.
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

}  // namespace cuda_on_cpu
