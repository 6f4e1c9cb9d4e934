// Each thread of a kernel is a fiber: a stack of its own on the one thread of the operating system. A fiber runs until it has
// to wait or ends; then the next one that can run goes on.
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "block.h"
#include "order.h"
#include "poison.h"
#include "sanitizers.h"

// AddressSanitizer takes a jump for the end of all that is on the stack.
#define WITHOUT_SANITIZER __attribute__((noinline, no_sanitize("address")))

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuda_on_cpu {
namespace {

constexpr size_t kStackBytes = 128 * 1024;  // AddressSanitizer makes frames several times as large

struct Fiber {
  Stack stack;
  ucontext_t beginning;
  bool begun = false;
  // Where it goes on, as the compiler's own setjmp keeps it. A context is where it begins, but swapcontext makes two system
  // calls, and longjmp has AddressSanitizer forget what it knows of the stack, with a third: both take twenty times as long.
  void* resume[5];
  Thread* thread = nullptr;  // none: the fiber is what called for the kernel
};

Block block;
Fiber caller;
Fiber* current = &caller;
Fiber* previous;
const std::function<void()>* kernel_thread;
std::vector<size_t> order;  // of the threads of the block
size_t turn;                // whose it is, in the order

// Where the threads of a block begin and end, and its barriers: one and the next, since a thread may come to the next while
// others have not left the one.
struct {
  uint64_t begin, end, barriers[2];
} places;

// Apart, because a function must not jump to a place of its own.
[[noreturn]] WITHOUT_SANITIZER void jump_to(Fiber& next) {
  if (!next.begun) {
    next.begun = true;
    setcontext(&next.beginning);
  }
  __builtin_longjmp(next.resume, 1);
}

WITHOUT_SANITIZER void switch_to(Fiber& next) {
  if (&next == current) return;
  previous = current;
  current = &next;
  if (next.thread != nullptr) threadIdx = next.thread->index;
  before_switch(previous->stack, next.stack);
  if (__builtin_setjmp(previous->resume) == 0) jump_to(next);
  after_switch(previous->stack, current->stack);
}

Fiber& fiber_of(size_t thread);

// To the next thread that does not wait; there is one, for the block would have called a deadlock otherwise.
void switch_to_next() {
  do turn = turn + 1 < order.size() ? turn + 1 : 0;
  while (block.threads()[order[turn]].state != State::running);
  switch_to(fiber_of(order[turn]));
}

// A fiber serves thread after thread: to make one costs more than to run one.
void fiber_main() {
  after_switch(previous->stack, current->stack);
  for (;;) {
    meet(&places.begin);
    (*kernel_thread)();
    leave(&places.end);
    block.end(*current->thread);
    if (block.ended())
      switch_to(caller);
    else
      switch_to_next();
  }
}

std::unique_ptr<Fiber> make_fiber() {
  auto fiber = std::make_unique<Fiber>();
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  // The page below the stack stays closed: a stack that is too small ends the program, and spoils nothing.
  char* memory = static_cast<char*>(
      mmap(nullptr, page + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0 || getcontext(&fiber->beginning) != 0) {
    std::perror("no stack for a fiber");
    std::abort();
  }
  fiber->stack.bottom = fiber->beginning.uc_stack.ss_sp = memory + page;
  fiber->stack.bytes = fiber->beginning.uc_stack.ss_size = kStackBytes;
  fiber->beginning.uc_link = nullptr;
  makecontext(&fiber->beginning, fiber_main, 0);
  make_known(fiber->stack, /*exists=*/false);
  return fiber;
}

Fiber& fiber_of(size_t thread) {
  static std::vector<std::unique_ptr<Fiber>> fibers;
  while (fibers.size() <= thread) fibers.push_back(make_fiber());
  return *fibers[thread];
}

void wait_for_others() {
  while (current->thread->state != State::running) switch_to_next();
}

void run_block(dim3 size) {
  block.start(size);
  poison_shared_memory();
  for (Thread& thread : block.threads()) fiber_of(static_cast<size_t>(thread.number)).thread = &thread;
  order = next_order(block.threads().size());
  turn = 0;
  leave(&places.begin);
  switch_to(fiber_of(order[turn]));
  meet(&places.end);
}

}  // namespace

void barrier(Place place) {
  uint64_t* const here = &places.barriers[block.barriers() % 2];
  leave(here);
  block.arrive_at_barrier(*current->thread, place);
  wait_for_others();
  meet(here);
}

// No order of what is done to memory comes with it: CUDA promises none.
uint64_t shuffle_xor(unsigned mask, uint64_t value, int lanes, Place place) {
  block.arrive_at_shuffle(*current->thread, mask, value, lanes, place);
  wait_for_others();
  return current->thread->from_other;
}

void run_grid(const std::function<void()>& thread, dim3 grid, dim3 size) {
  caller.begun = true;
  make_known(caller.stack, /*exists=*/true);
  kernel_thread = &thread;
  gridDim = grid;
  blockDim = size;
  for (const size_t number : next_order(size_t{grid.x} * grid.y * grid.z)) {
    blockIdx = {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                static_cast<unsigned>(number / grid.x / grid.y)};
    run_block(size);
  }
}

}  // namespace cuda_on_cpu
