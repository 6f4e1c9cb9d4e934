#include "block.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace cuda_on_cpu {
namespace {

std::string text(const char* format, ...) {
  char buffer[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

bool same(Place a, Place b) { return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0); }

unsigned bit(int lane) { return 1u << lane; }

std::string name(Place place) { return text("%s:%d", place.file, place.line); }

// "of 64 threads: 32 waiting at the barrier a.cu:3, 32 ended"
std::string whereabouts(const std::vector<Thread>& threads) {
  std::map<std::string, int> groups;
  for (const Thread& t : threads) {
    if (t.state == State::running) ++groups["running"];
    if (t.state == State::ended) ++groups["ended"];
    if (t.state == State::at_barrier) ++groups["waiting at the barrier " + name(t.place)];
    if (t.state == State::at_shuffle) ++groups["waiting at the shuffle " + name(t.place) + text(" with mask %08x", t.mask)];
  }
  std::string result = text("of %zu threads", threads.size());
  const char* before = ": ";
  for (const auto& [what, count] : groups) {
    result += before + text("%d ", count) + what;
    before = ", ";
  }
  return result;
}

}  // namespace

void kernel_error(const std::string& what) {
  std::fprintf(stderr, "error in a kernel, block (%u, %u, %u), thread (%u, %u, %u): %s\n", blockIdx.x, blockIdx.y, blockIdx.z,
               threadIdx.x, threadIdx.y, threadIdx.z, what.c_str());
  std::abort();
}

void misaligned(const void* p, size_t bytes, Place place) {
  kernel_error(text("access of %zu bytes at %p, which is not a multiple of that, at ", bytes, p) + name(place));
}

void Block::start(dim3 size) {
  threads_.assign(size_t{size.x} * size.y * size.z, Thread());
  running_ = threads_.size();
  at_barrier_ = ended_ = 0;
  warps_.assign((threads_.size() + kLanes - 1) / kLanes, Warp());
  for (size_t absent = threads_.size(); absent < warps_.size() * kLanes; ++absent) warps_.back().ended |= bit(absent % kLanes);
  int number = 0;
  for (unsigned z = 0; z < size.z; ++z)
    for (unsigned y = 0; y < size.y; ++y)
      for (unsigned x = 0; x < size.x; ++x, ++number) {
        threads_[number].index = {x, y, z};
        threads_[number].number = number;
      }
}

void Block::expect_someone_running() const {
  if (running_ == 0 && !ended()) kernel_error("deadlock: " + whereabouts(threads_));
}

// A GPU counts threads that have ended as present. CUDA promises nothing of the kind for a block, so here it is an error.
void Block::arrive_at_barrier(Thread& thread, Place place) {
  thread.state = State::at_barrier;
  thread.place = place;
  --running_;
  ++at_barrier_;
  if (ended_ > 0) kernel_error("a barrier that part of the block never reaches: " + whereabouts(threads_));
  if (at_barrier_ < threads_.size()) return expect_someone_running();
  for (Thread& t : threads_) {
    if (!same(t.place, place)) kernel_error("one barrier at different places: " + whereabouts(threads_));
    t.state = State::running;
  }
  running_ = threads_.size();
  at_barrier_ = 0;
  ++barriers_;
}

void Block::expect_same_shuffle(const Thread& a, const Thread& b) const {
  if (a.mask != b.mask) kernel_error("lanes of one warp disagree about the mask: " + whereabouts(threads_));
  if (!same(a.place, b.place)) kernel_error("one shuffle at different places: " + whereabouts(threads_));
}

void Block::arrive_at_shuffle(Thread& thread, unsigned mask, uint64_t value, int lanes, Place place) {
  Warp& warp = warps_[static_cast<size_t>(thread.number) / kLanes];
  const int lane = thread.number % kLanes, partner = lane ^ lanes;
  if ((mask & bit(lane)) == 0)
    kernel_error(text("lane %d calls with mask %08x, which leaves it out, the shuffle ", lane, mask) + name(place));
  if (partner < 0 || partner >= kLanes || (mask & bit(partner)) == 0)
    kernel_error(text("lane %d wants the value of lane %d, which mask %08x leaves out, in the shuffle ", lane, partner, mask) +
                 name(place));
  thread.state = State::at_shuffle;
  thread.place = place;
  thread.mask = mask;
  thread.partner = partner;
  thread.value = value;
  --running_;
  if ((mask & warp.ended) != 0)
    kernel_error(text("mask %08x expects lanes that have ended or never were: ", mask) + whereabouts(threads_));

  Thread* const lane_0 = &threads_[static_cast<size_t>(thread.number - lane)];
  const unsigned waiting = warp.at_shuffle & mask;
  if (waiting != 0) expect_same_shuffle(lane_0[__builtin_ctz(waiting)], thread);
  warp.at_shuffle |= bit(lane);
  if ((warp.at_shuffle & mask) != mask) return expect_someone_running();
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    Thread& other = lane_0[__builtin_ctz(rest)];
    expect_same_shuffle(other, thread);
    other.from_other = lane_0[other.partner].value;
    other.state = State::running;
    ++running_;
  }
  warp.at_shuffle &= ~mask;
}

void Block::end(Thread& thread) {
  thread.state = State::ended;
  --running_;
  ++ended_;
  if (at_barrier_ > 0) kernel_error("a barrier that part of the block never reaches: " + whereabouts(threads_));
  const size_t warp = static_cast<size_t>(thread.number) / kLanes;
  const int lane = thread.number % kLanes;
  warps_[warp].ended |= bit(lane);
  for (unsigned rest = warps_[warp].at_shuffle; rest != 0; rest &= rest - 1)
    if ((threads_[warp * kLanes + static_cast<size_t>(__builtin_ctz(rest))].mask & bit(lane)) != 0)
      kernel_error(text("lane %d, which a shuffle expects, has ended: ", lane) + whereabouts(threads_));
  expect_someone_running();
}

}  // namespace cuda_on_cpu
