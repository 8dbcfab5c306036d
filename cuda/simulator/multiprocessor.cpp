#include "cuda/simulator/multiprocessor.h"

#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <tuple>

#include "engine/error.h"

namespace semgen::simulator {

Fiber *fibers = nullptr;

namespace {
void *reservePages(size_t bytes, int protection) {
  void *pages = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) throw Error("OUT_OF_MEMORY", "The simulator found no room for a block's threads.");
  return pages;
}
}  // namespace

Multiprocessor::Multiprocessor(int number) : number_(number) {
  reserveStacks();
  constexpr size_t fiberBytes = sizeof(Fiber) * kMaxThreads * kMaxMultiprocessors;
  if (fibers == nullptr) fibers = static_cast<Fiber *>(reservePages(fiberBytes, PROT_READ | PROT_WRITE));
  fibers_ = fibers + size_t(number) * kMaxThreads;
  dynamicRange_ = static_cast<uint8_t *>(reservePages(3 * kSharedRoom, PROT_NONE));
  mprotect(dynamicRange_ + kSharedRoom, kSharedRoom, PROT_READ | PROT_WRITE);
  dynamic_.reserve(kSharedRoom);
  static_.reserve(threadLocals().bytes);
}

Multiprocessor::~Multiprocessor() {
  munmap(dynamicRange_, 3 * kSharedRoom);
  for (size_t i = 0; i < committed_; ++i) std::free(fibers_[i].copies);
}

uint32_t Multiprocessor::random() {  // xorshift64*
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return uint32_t(random_ * 0x2545f4914f6cdd1dull >> 32);
}

/// The order between this barrier and the next. Seed 0 keeps the threads in their own order.
void Multiprocessor::shuffleOrder() {
  if (launch->seed == 0) return;
  warpRotation_ = random();
  for (uint32_t w = 0; w < warpCount_; ++w) warps_[w].rotation = random() & 63;
}

void Multiprocessor::start(uint64_t block) {
  const dim3 &grid = launch->grid, &extents = launch->block;
  blockIndex = {uint32_t(block % grid.x), uint32_t(block / grid.x % grid.y), uint32_t(block / grid.x / grid.y)};
  uint32_t threads = launch->threads;
  if (committed_ < threads) {
    commitStacks(size_t(number_) * kMaxThreads + committed_, threads - committed_);
    committed_ = threads;
  }
  warpCount_ = (threads + 31) / 32;
  live_ = threads;
  failed_ = false;
  usedAtomics = false;
  stamp_ = launch->number | uint32_t(block & 0xffff);
  arrived_ = 0;
  predicates_ = 0;
  std::memset(named_, 0, sizeof named_);
  random_ = (launch->seed * 0x9e3779b97f4a7c15ull ^ (block + 1) * 0xd1b54a32d192ed03ull) | 1;
  warpRotation_ = 0;
  for (uint32_t w = 0; w < warpCount_; ++w) {
    Warp &warp = warps_[w];
    uint32_t lanes = std::min(32u, threads - w * 32);
    warp.fibers = fibers_ + w * 32;
    warp.all = warp.live = warp.ready = lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
    warp.logFull = warp.rotation = 0;
    warp.groupCount = 0;
    warp.clock = 1;
    std::memset(warp.known, 0, sizeof warp.known);
    warp.known[w] = 1;
  }
  for (uint32_t t = 0; t < threads; ++t) {
    Fiber &fiber = fibers_[t];
    fiber.processor = this;
    fiber.warp = &warps_[t / 32];
    fiber.thread = t;
    fiber.lane = t % 32;
    fiber.index = {t % extents.x, t / extents.x % extents.y, t / extents.x / extents.y};
    fiber.logged = 0;
    fiber.waiting = nullptr;
    fiber.copyCount = fiber.copyGroup = 0;
    fiber.stack = newStack(size_t(number_) * kMaxThreads + t, enter);
  }
  dynamic_.reset(reinterpret_cast<uintptr_t>(dynamicRange_) + kSharedRoom, launch->dynamicShared);
  Range locals = threadLocals();
  static_.reset(locals.start, locals.bytes);
  // What a kernel finds in shared memory is anything; these bits make NaNs, and show where a check was missed.
  std::memset(dynamicRange_ + kSharedRoom, 0xff, launch->dynamicShared);
  shuffleOrder();
}

bool Multiprocessor::run(Launch &with, uint64_t block) {
  launch = &with;
  start(block);
  uint32_t w = 0;
  while (!failed_) {
    uint32_t tried = 0;
    for (; tried < warpCount_; ++tried) {
      w = (tried + warpRotation_) % warpCount_;
      if (warps_[w].ready != 0) break;
    }
    if (tried == warpCount_) {
      if (live_ > 0) reportDeadlock();
      break;
    }
    runWarp(warps_[w]);
  }
  return !failed_;
}

namespace {
/// A lane of `ready`, which is not zero, by the warp's order.
inline uint32_t pick(Warp &warp) {
  uint32_t turned = std::rotr(warp.ready, int(warp.rotation & 31));
  uint32_t first = warp.rotation & 32 ? 31 - uint32_t(__builtin_clz(turned)) : uint32_t(__builtin_ctz(turned));
  uint32_t lane = (first + warp.rotation) & 31;
  warp.ready &= ~(1u << lane);
  return lane;
}
}  // namespace

void Multiprocessor::runWarp(Warp &warp) {
  while (warp.ready != 0) {
    semgenSwitchStack(&scheduler_, warp.fibers[pick(warp)].stack);
    // No lane can go on.
    if (failed_) return;
    uint32_t lengths[32] = {};
    for (uint32_t lanes = warp.all; lanes != 0; lanes &= lanes - 1) {
      auto lane = uint32_t(__builtin_ctz(lanes));
      lengths[lane] = warp.fibers[lane].logged;
      warp.fibers[lane].logged = 0;
    }
    accesses_.count(lengths, counters);
    warp.ready |= warp.logFull;
    warp.logFull = 0;
  }
}

void Multiprocessor::enter() {
  Fiber &fiber = self();
  fiber.processor->launch->call->run();
  fiber.processor->leave(fiber);
}

void Multiprocessor::leave(Fiber &fiber) {
  fiber.warp->live &= ~(1u << fiber.lane);
  --live_;
  next(fiber);
  __builtin_unreachable();
}

void Multiprocessor::next(Fiber &fiber) {
  Warp &warp = *fiber.warp;
  semgenSwitchStack(&fiber.stack, warp.ready != 0 ? warp.fibers[pick(warp)].stack : scheduler_);
}

void Multiprocessor::wait(Fiber &fiber, const char *reason, Site site) {
  fiber.waiting = reason;
  fiber.site = site;
  next(fiber);
  fiber.waiting = nullptr;
}

void Multiprocessor::makeRoomInLog(Fiber &fiber) {
  fiber.warp->logFull |= 1u << fiber.lane;
  next(fiber);
}

void Multiprocessor::fail(Fiber &fiber, uintptr_t instruction, Site site, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(fault.text, sizeof fault.text, format, arguments);
  va_end(arguments);
  fault.instruction = instruction;
  fault.site = site;
  fault.thread = int(fiber.thread);
  failed_ = true;
  semgenSwitchStack(&fiber.stack, scheduler_);
  __builtin_unreachable();
}

int Multiprocessor::blockBarrier(Fiber &fiber, int predicate, Site site) {
  if (arrived_ == 0) barrierSite_ = site;
  if (site.line() != barrierSite_.line())
    fail(fiber, 0, site,
         "divergent barrier: this thread reached this __syncthreads() while others of its block wait at the one in "
         "line %u",
         barrierSite_.line());
  predicates_ += predicate != 0;
  if (++arrived_ < launch->threads) {
    wait(fiber, "__syncthreads()", site);
    return predicatesOfLast_;
  }
  predicatesOfLast_ = predicates_;
  predicates_ = 0;
  arrived_ = 0;
  ++counters.barriers;
  for (uint32_t w = 0; w < warpCount_; ++w) {
    warps_[w].ready = warps_[w].all;
    ++warps_[w].clock;
  }
  for (uint32_t w = 0; w < warpCount_; ++w)
    for (uint32_t v = 0; v < warpCount_; ++v) warps_[w].known[v] = warps_[v].clock;
  fiber.warp->ready &= ~(1u << fiber.lane);
  shuffleOrder();
  return predicatesOfLast_;
}

void Multiprocessor::namedBarrier(Fiber &fiber, int id, int threads, Site site) {
  if (id < 1 || id > 15 || threads <= 0 || threads % 32 != 0 || uint32_t(threads) > warpCount_ * 32)
    fail(fiber, 0, site, "barrier_sync(%d, %d): ids are 1 to 15, and threads come in warps of 32, here at most %u", id,
         threads, warpCount_ * 32);
  auto &barrier = named_[id];
  if (barrier.arrived == 0) barrier.threads = uint32_t(threads);
  if (barrier.threads != uint32_t(threads))
    fail(fiber, 0, site, "barrier_sync(%d, %d): other threads wait at this barrier for %u threads", id, threads,
         barrier.threads);
  uint32_t w = fiber.thread / 32;
  barrier.warps |= 1u << w;
  barrier.lanes[w] |= 1u << fiber.lane;
  if (++barrier.arrived < barrier.threads) {
    wait(fiber, "barrier_sync()", site);
    return;
  }
  // Each of these warps sees what any of them has seen or done until now.
  uint32_t known[kMaxThreads / 32] = {};
  for (uint32_t v = 0; v < warpCount_; ++v) {
    if (!(barrier.warps >> v & 1)) continue;
    ++warps_[v].clock;
    for (uint32_t u = 0; u < warpCount_; ++u) known[u] = std::max(known[u], warps_[v].known[u]);
  }
  for (uint32_t v = 0; v < warpCount_; ++v)
    if (barrier.warps >> v & 1) known[v] = warps_[v].clock;
  for (uint32_t v = 0; v < warpCount_; ++v) {
    if (!(barrier.warps >> v & 1)) continue;
    std::memcpy(warps_[v].known, known, sizeof known);
    warps_[v].ready |= barrier.lanes[v];
  }
  fiber.warp->ready &= ~(1u << fiber.lane);
  std::memset(&barrier, 0, sizeof barrier);
  ++counters.barriers;
  shuffleOrder();
}

/// No thread can run, and some have not returned: says where they are.
void Multiprocessor::reportDeadlock() {
  struct Place {
    int count = 0, first = 0;
  };
  std::map<std::tuple<std::string, std::string, unsigned>, Place> places;
  int firstReturned = -1;
  uint32_t returned = launch->threads - live_;
  fault.thread = -1;
  for (uint32_t t = 0; t < launch->threads; ++t) {
    const Fiber &fiber = fibers_[t];
    if (!(fiber.warp->live >> fiber.lane & 1)) {
      if (firstReturned < 0) firstReturned = int(t);
      continue;
    }
    Place &place = places[{fiber.waiting, fiber.site.file_name(), fiber.site.line()}];
    if (place.count++ == 0) place.first = int(t);
    if (fault.thread >= 0) continue;
    fault.thread = int(t);
    fault.site = fiber.site;
  }
  auto name = [&](int thread) {
    uint3 index = fibers_[thread].index;
    return "thread (" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
  };
  std::string text = "not all threads reached the same barrier or collective: ";
  for (const auto &[where, place] : places)
    text += std::to_string(place.count) + (place.count == 1 ? " waits" : " wait") + " at " + std::get<0>(where) +
            " in line " + std::to_string(std::get<2>(where)) + " (first: " + name(place.first) + "), ";
  text += std::to_string(returned) + (returned == 1 ? " has" : " have") + " returned";
  if (returned > 0) text += " (first: " + name(firstReturned) + ")";
  std::snprintf(fault.text, sizeof fault.text, "%s", text.c_str());
  fault.instruction = 0;
  failed_ = true;
}

}  // namespace semgen::simulator
