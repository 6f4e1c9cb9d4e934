// Under AddressSanitizer a plain block of the heap, because then the report says which line went how far past which block.
// Otherwise the page after the last number is closed. The few bytes between the number and the page, since memory of the device
// begins at a multiple of 16, and some before the beginning, are looked at when the memory is freed.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

namespace cuda_on_cpu {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kHeap = true;
#else
constexpr bool kHeap = false;
#endif

constexpr size_t kAlignment = 16, kMargin = 64;
constexpr int kUntouched = 0xff;  // NaN in every format, for what is read there

struct Allocation {
  size_t bytes;
  unsigned char* pages;
  size_t pages_bytes;
};

std::map<const unsigned char*, Allocation>& allocations() {
  static std::map<const unsigned char*, Allocation> all;
  return all;
}

// Pages not in use, by size: memory comes and goes by the thousand in few sizes, and asking the system for each takes long.
std::vector<unsigned char*>& unused(size_t bytes) {
  static std::map<size_t, std::vector<unsigned char*>> pages;
  return pages[bytes];
}

unsigned char* take_pages(size_t bytes) {
  auto& pages = unused(bytes);
  if (pages.empty()) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* at = mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(static_cast<char*>(at) + bytes, page, PROT_NONE) != 0) return nullptr;
    pages.push_back(static_cast<unsigned char*>(at));
  }
  unsigned char* result = pages.back();
  pages.pop_back();
  return result;
}

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

void expect_untouched(const unsigned char* begin, const unsigned char* end, const char* where, size_t bytes) {
  if (std::all_of(begin, end, [](unsigned char c) { return c == kUntouched; })) return;
  std::fprintf(stderr, "a kernel wrote %s of device memory of %zu bytes\n", where, bytes);
  std::abort();
}

}  // namespace

void* allocate_device_memory(size_t bytes) {
  Allocation a = {bytes, nullptr, 0};
  unsigned char* begin;
  if (kHeap) {
    begin = static_cast<unsigned char*>(std::malloc(bytes));
    if (begin == nullptr) return nullptr;
    std::memset(begin, kUntouched, bytes);
  } else {
    const size_t with_tail = round_up(bytes, kAlignment);
    a.pages_bytes = round_up(with_tail + kMargin, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
    a.pages = take_pages(a.pages_bytes);
    if (a.pages == nullptr) return nullptr;
    begin = a.pages + a.pages_bytes - with_tail;
    std::memset(begin - kMargin, kUntouched, kMargin + with_tail);
  }
  allocations()[begin] = a;
  return begin;
}

bool free_device_memory(void* pointer) {
  unsigned char* begin = static_cast<unsigned char*>(pointer);
  const auto found = allocations().find(begin);
  if (found == allocations().end()) return false;
  const Allocation a = found->second;
  allocations().erase(found);
  if (kHeap) {
    std::free(begin);
  } else {
    expect_untouched(begin - kMargin, begin, "before the beginning", a.bytes);
    expect_untouched(begin + a.bytes, a.pages + a.pages_bytes, "past the end", a.bytes);
    unused(a.pages_bytes).push_back(a.pages);
  }
  return true;
}

bool in_device_memory(const void* pointer, size_t bytes) {
  const unsigned char* p = static_cast<const unsigned char*>(pointer);
  auto found = allocations().upper_bound(p);
  if (found == allocations().begin()) return false;
  --found;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(found->first), at = reinterpret_cast<uintptr_t>(p);
  return at + bytes <= begin + found->second.bytes;
}

}  // namespace cuda_on_cpu
