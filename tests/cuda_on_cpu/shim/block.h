// The threads of one block and the rules by which they meet: who waits where, who is released when, and what is an error. How
// the threads are run is fibers.cpp's affair.
#pragma once

#include <string>
#include <vector>

#include "on_cpu/thread.h"

namespace cuda_on_cpu {

constexpr int kLanes = 32;

enum class State { running, at_barrier, at_shuffle, ended };

struct Thread {
  uint3 index;
  int number;  // in the block; its lane is number % kLanes
  State state;
  Place place;                 // where it waits
  unsigned mask;               // of the shuffle that it waits at,
  int partner;                 // the lane whose value it wants there,
  uint64_t value, from_other;  // what it brings, and what it gets when it is released
};

// Lanes of a warp, a bit for each.
struct Warp {
  unsigned at_shuffle, ended;  // those that there are not count as ended
};

class Block {
 public:
  void start(dim3 size);

  // The thread has come this far. Its state afterwards says whether it waits.
  void arrive_at_barrier(Thread& thread, Place place);
  void arrive_at_shuffle(Thread& thread, unsigned mask, uint64_t value, int lanes, Place place);
  void end(Thread& thread);

  // How many barriers all threads have come to.
  unsigned barriers() const { return barriers_; }
  bool ended() const { return ended_ == threads_.size(); }
  std::vector<Thread>& threads() { return threads_; }

 private:
  void expect_same_shuffle(const Thread& a, const Thread& b) const;
  void expect_someone_running() const;

  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  size_t running_ = 0, at_barrier_ = 0, ended_ = 0;
  unsigned barriers_ = 0;
};

// Prints the sentence, with the block and the thread that it is about, and stops the program.
[[noreturn]] void kernel_error(const std::string& what);

// Runs all threads of all blocks, one block after another.
void run_grid(const std::function<void()>& thread, dim3 grid, dim3 block);

}  // namespace cuda_on_cpu
