// Runs one block at a time: its threads as fibers, its warps, its barriers.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/simulator/access_log.h"
#include "cuda/simulator/device.h"
#include "cuda/simulator/fiber.h"
#include "cuda/simulator/memory.h"
#include "cuda/simulator/runtime.h"
#include "cuda/simulator/shared_memory.h"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace semgen::simulator {

class Multiprocessor;

/// What threads of a warp do together.
enum class Together : uint8_t { barrier, shuffle, ballot, multiplyBf16, multiplyTf32, loadMatrices };
const char *nameOf(Together kind);

/// An asynchronous copy on its way.
struct Copy {
  void *to;
  const void *from;  // nullptr: zeros
  uint32_t bytes, group;
};

struct Fiber;

struct Warp {
  Fiber *fibers;                     // of its lanes, in order
  uint32_t live;                     // lanes that exist and have not returned
  uint32_t all;                      // lanes that exist
  uint32_t ready;                    // lanes that can run and do not
  uint32_t logFull;                  // lanes that wait for the log to be counted
  uint32_t rotation;                 // of the order in which lanes run
  uint32_t known[kMaxThreads / 32];  // by warp: what it did at clocks below this is visible here
  uint32_t clock;                    // counted up at every barrier
  struct {
    uint32_t mask, arrived;
    Together kind;
  } groups[32];  // collectives that some lanes have reached
  int groupCount;
};

struct Fiber {
  void *stack;
  Multiprocessor *processor;
  Warp *warp;
  uint32_t thread, lane;
  uint3 index;
  uint32_t logged;  // entries in the log
  // What it waits for, for messages.
  const char *waiting;
  Site site;
  // Operands of a collective, and its result.
  Accumulators d;
  Registers a, matrices;
  uint32_t b0, b1, value, result;
  int source;
  const void *row;
  // Asynchronous copies, oldest first.
  Copy *copies;
  uint32_t copyCount, copyRoom, copyGroup;

  Stamp stamp() const { return stampOf(thread, warp->clock); }
};

/// The running thread. Only in a fiber.
extern Fiber *fibers;
inline Fiber &self() { return fibers[slotOf(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)))]; }

/// What went wrong in a block. Plain data: a fiber fills it in, and is never run again.
struct Fault {
  char text[1024];
  uintptr_t instruction;  // where, or 0
  Site site;              // else where, if it has a line
  int thread;             // -1: no single one
};

struct Launch {
  const KernelCall *call;
  dim3 grid, block;
  uint32_t threads;
  size_t dynamicShared;
  uint64_t seed;
  uint32_t number;                           // in the upper half of a word; not 0
  std::atomic<uint64_t> next{0};             // block to run, by the order of the seed
  std::atomic<uint64_t> failed{UINT64_MAX};  // the first in that order that failed so far
};

/// True if what the stamp stands for is over and visible to the thread: its own, or before a barrier they shared.
inline bool ordered(Stamp stamp, const Fiber &fiber) {
  uint32_t thread = threadOf(stamp);
  return clockOf(stamp) < fiber.warp->known[thread >> 5] || thread == fiber.thread;
}

template <bool write>
inline bool SharedMemory::accessQuickly(const Fiber &fiber, uintptr_t address, size_t words) {
  size_t first = (address - base_) / 4;
  firstUsed_ = std::min(firstUsed_, first);
  endUsed_ = std::max(endUsed_, first + words);
  Stamp now = fiber.stamp();
  for (Cell *cell = words_ + first; cell != words_ + first + words; ++cell) {
    if (cell->split | cell->inFlight) return false;
    Stamp &one = cell->readers[0], &two = cell->readers[1];
    if constexpr (write) {
      if (cell->writer != 0 && !ordered(cell->writer, fiber)) return false;
      if ((one != 0 && !ordered(one, fiber)) || (two != 0 && !ordered(two, fiber))) return false;
      *cell = {now, {0, 0}, 15, 0, 0, 0};
    } else {
      if (cell->written != 15 || !ordered(cell->writer, fiber)) return false;
      if (one == now || two == now) continue;
      if (one == 0 || ordered(one, fiber))
        one = now;
      else if (two == 0 || ordered(two, fiber) || threadOf(two) >> 5 == threadOf(one) >> 5)
        two = now;
    }
  }
  return true;
}

class Multiprocessor {
 public:
  explicit Multiprocessor(int number);
  Multiprocessor(const Multiprocessor &) = delete;
  Multiprocessor &operator=(const Multiprocessor &) = delete;
  ~Multiprocessor();

  /// Runs a block; false if it failed: see fault.
  bool run(Launch &launch, uint64_t block);

  // --- called in fibers; may switch to others ------------------------------------------------------------------------
  /// Waits: another thread runs until this one is made ready.
  void wait(Fiber &fiber, const char *reason, Site site);
  /// Ends the block with a message. An instruction or a site says where; the site counts if there is no instruction.
  [[noreturn]] void fail(Fiber &fiber, uintptr_t instruction, Site site, const char *format, ...)
      __attribute__((format(printf, 5, 6)));
  /// The fiber's log is full: lets the other lanes catch up, and has it counted.
  void makeRoomInLog(Fiber &fiber);
  /// True for the last of the mask's lanes to arrive, which then does the work, calls release, and goes on; false for
  /// the others, when the work is done. The lanes are those of `mask` that exist.
  bool gather(Fiber &fiber, Together kind, uint32_t mask, Site site);
  void release(Fiber &fiber, uint32_t mask);
  int blockBarrier(Fiber &fiber, int predicate, Site site);
  void namedBarrier(Fiber &fiber, int id, int threads, Site site);
  void warpBarrierDone(Warp &warp, uint32_t mask);
  /// Checks an access and notes it; fails on a fault. Logs it for the counters where `log`.
  void access(Fiber &fiber, uintptr_t address, size_t size, Sharing sharing, uintptr_t instruction, Site site,
              bool log);
  void log(Fiber &fiber, uintptr_t address, size_t size, bool write, bool shared, uint32_t where) {
    if (fiber.logged == AccessLog::kRoom) makeRoomInLog(fiber);
    accesses_.entry(fiber.lane, fiber.logged++) = {uint64_t(address), where, uint8_t(size), write, shared};
  }
  /// False if another block of this launch has written there: blocks run in any order. Only whole words tell.
  bool aloneIn(uintptr_t address, size_t size, bool write) {
    for (uintptr_t word = address & ~uintptr_t{3}; word < address + size; word += 4) {
      uint32_t &stamp = *stampOf(word);
      if (write && size < 4) {
        stamp = 0;
        continue;
      }
      if (stamp != stamp_ && (stamp ^ stamp_) < 0x10000 && (write || !usedAtomics)) return false;
      if (write) stamp = stamp_;
    }
    return true;
  }
  void startCopy(Fiber &fiber, void *to, const void *from, uint32_t bytes, bool fill, Site site);
  void landCopies(Fiber &fiber, int pending);

  Launch *launch = nullptr;
  uint3 blockIndex = {};
  LaunchCounters counters;
  Fault fault;
  bool usedAtomics = false;  // on global memory, in this block: it may know that others are done

  SharedMemory &dynamicShared() { return dynamic_; }
  SharedMemory &staticShared() { return static_; }

 private:
  static void enter();  // a fiber's first function
  void start(uint64_t block);
  void runWarp(Warp &warp);
  void shuffleOrder();
  [[noreturn]] void leave(Fiber &fiber);
  void next(Fiber &fiber);
  void reportDeadlock();
  SharedMemory *sharedAt(uintptr_t address);
  [[noreturn]] void failShared(Fiber &fiber, SharedFault what, SharedMemory &memory, uintptr_t address, size_t size,
                               Sharing sharing, Stamp other, uintptr_t instruction, Site site);
  uint32_t random();

  int number_;
  size_t committed_ = 0;
  void *scheduler_ = nullptr;  // its stack, while a fiber runs
  Fiber *fibers_;
  Warp warps_[kMaxThreads / 32];
  uint32_t warpCount_ = 0, warpRotation_ = 0, live_ = 0;
  bool failed_ = false;
  uint64_t random_ = 0;
  uint32_t stamp_ = 0;  // of this launch and block
  // The block's barrier.
  uint32_t arrived_ = 0;
  int predicates_ = 0, predicatesOfLast_ = 0;
  Site barrierSite_;
  struct {
    uint32_t arrived, threads, warps, lanes[kMaxThreads / 32];
  } named_[16];
  uint8_t *dynamicRange_;
  SharedMemory dynamic_, static_;
  AccessLog accesses_;
};

inline constexpr size_t kSharedRoom = 256 * 1024;  // address space for dynamic shared memory, and guards of that size

/// This thread's copy of the module's thread-local variables, among them every kernel's static shared memory.
struct Range {
  uintptr_t start;
  size_t bytes;
};
Range threadLocals();
/// True if a kernel may read this memory of the host: constants of the module.
bool isConstant(uintptr_t address, size_t bytes);

}  // namespace semgen::simulator
