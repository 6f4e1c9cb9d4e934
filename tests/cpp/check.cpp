#include "check.h"

#include <algorithm>
#include <map>
#include <string>

#include <signal.h>
#include <unistd.h>

namespace gru_ext::cpu {
namespace {

struct Tally {
  int64_t checks = 0, failures = 0;
  double worst = 0;
};

constexpr int kPrinted = 10;  // failures of one kernel and type that are printed

std::map<std::string, Tally> tallies;
Tally* tally;
char running[256];

void say_what_ran() {
  const char text[] = "stopped while checking ";
  // A handler of a signal may call write, but not printf. Where even this fails, nothing is left to try.
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0 || write(STDERR_FILENO, running, std::strlen(running)) < 0 ||
      write(STDERR_FILENO, "\n", 1) < 0)
    _exit(EXIT_FAILURE);
}

[[maybe_unused]] void on_fault(int number) {
  say_what_ran();
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

double Random::operator()(double low, double high) {
  state_ = state_ * 6364136223846793005 + 1442695040888963407;
  return low + (high - low) * static_cast<double>(state_ >> 11) * 0x1p-53;
}

int64_t Random::below(int64_t count) { return static_cast<int64_t>((*this)(0, static_cast<double>(count))); }

std::vector<std::pair<int64_t, int64_t>> random_parts(Random& random, int64_t size, int most) {
  std::vector<int64_t> borders = {0, size};
  for (int i = 1; i < most; ++i) borders.push_back(random.below(size + 1));
  std::sort(borders.begin(), borders.end());
  std::vector<std::pair<int64_t, int64_t>> parts;
  for (size_t i = borders.size() - 1; i > 0; --i) parts.emplace_back(borders[i - 1], borders[i]);
  return parts;
}

void now_checking(const char* kernel, const char* type, const char* sizes, const char* level) {
  static const bool ready = [] {
#if !defined(__SANITIZE_ADDRESS__)
    for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGABRT}) signal(number, on_fault);
#endif
    return true;
  }();
  if (!ready) return;
  std::snprintf(running, sizeof running, "%s, %s, %s, level %s", kernel, type, sizes, level);
  tally = &tallies[std::string(kernel) + " " + type];
}

void fail(const char* what) {
  if (++tally->failures <= kPrinted) std::printf("FAILED %s: %s\n", running, what);
}

void record(double part_of_tolerance) {
  ++tally->checks;
  tally->worst = std::max(tally->worst, part_of_tolerance);
}

bool summary() {
  bool good = !tallies.empty();
  for (const auto& [name, t] : tallies) {
    good &= t.failures == 0 && t.checks > 0;
    std::printf("%-24s %9lld numbers, largest error %3.0f%% of what is tolerated, %lld failures: %s\n", name.c_str(),
                static_cast<long long>(t.checks), 100 * t.worst, static_cast<long long>(t.failures),
                t.failures == 0 && t.checks > 0 ? "ok" : "FAILED");
  }
  return good;
}

}  // namespace gru_ext::cpu

#if defined(__SANITIZE_ADDRESS__)
extern "C" void __asan_on_error() { gru_ext::cpu::say_what_ran(); }
#endif
