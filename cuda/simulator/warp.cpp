// What a kernel calls and other threads can notice: places, barriers, shuffles, votes, atomics.
#include <cstring>

#include "cuda/simulator/multiprocessor.h"

namespace semgen::simulator {

const char *nameOf(Together kind) {
  switch (kind) {
    case Together::barrier:
      return "__syncwarp()";
    case Together::shuffle:
      return "a shuffle";
    case Together::ballot:
      return "a vote";
    case Together::multiplyBf16:
      return "mma_bf16()";
    case Together::multiplyTf32:
      return "mma_tf32()";
    case Together::loadMatrices:
      return "ldmatrix()";
  }
  return "";
}

bool Multiprocessor::gather(Fiber &fiber, Together kind, uint32_t mask, Site site) {
  Warp &warp = *fiber.warp;
  uint32_t bit = 1u << fiber.lane;
  bool wholeWarp = kind >= Together::multiplyBf16;
  if (!wholeWarp) mask &= warp.all;
  if (!(mask & bit)) fail(fiber, 0, site, "%s with mask 0x%08x, which leaves out the calling lane", nameOf(kind), mask);
  if (mask & ~warp.live)
    fail(fiber, 0, site, "%s waits for lane %d, which %s", nameOf(kind), __builtin_ctz(mask & ~warp.live),
         mask & ~warp.all ? "does not exist: the block ends within a warp" : "has returned");
  int i = 0;
  while (i < warp.groupCount && !(warp.groups[i].kind == kind && warp.groups[i].mask == mask)) ++i;
  auto &group = warp.groups[i];
  if (i == warp.groupCount) {
    group = {mask, 0, kind};
    ++warp.groupCount;
  }
  group.arrived |= bit;
  if (group.arrived == mask) {
    group = warp.groups[--warp.groupCount];
    return true;
  }
  wait(fiber, nameOf(kind), site);
  return false;
}

void Multiprocessor::release(Fiber &fiber, uint32_t mask) {
  Warp &warp = *fiber.warp;
  warp.ready |= mask & warp.all & ~(1u << fiber.lane);
}

void Multiprocessor::warpBarrierDone(Warp &warp, uint32_t mask) {
  // Clocks are those of a warp: a barrier of some of its lanes would promise too much to the others.
  if ((mask & warp.live) != warp.live) return;
  auto w = size_t(&warp - warps_);
  warp.known[w] = ++warp.clock;
}

uint3 threadIndex() { return self().index; }
uint3 blockIndex() { return self().processor->blockIndex; }
dim3 blockExtents() { return self().processor->launch->block; }
dim3 gridExtents() { return self().processor->launch->grid; }
void *dynamicShared() { return reinterpret_cast<void *>(self().processor->dynamicShared().base()); }
uint32_t laneIndex() { return self().lane; }
uint32_t activeMask() { return self().warp->live; }

void blockBarrier(Site site) {
  Fiber &fiber = self();
  fiber.processor->blockBarrier(fiber, 0, site);
}

int blockBarrierCount(int predicate, Site site) {
  Fiber &fiber = self();
  return fiber.processor->blockBarrier(fiber, predicate, site);
}

void namedBarrier(int id, int threads, Site site) {
  Fiber &fiber = self();
  fiber.processor->namedBarrier(fiber, id, threads, site);
}

void warpBarrier(uint32_t mask, Site site) {
  Fiber &fiber = self();
  if (!fiber.processor->gather(fiber, Together::barrier, mask, site)) return;
  fiber.processor->warpBarrierDone(*fiber.warp, mask);
  fiber.processor->release(fiber, mask);
}

uint32_t shuffle(uint32_t mask, uint32_t value, int source, Site site) {
  Fiber &fiber = self();
  fiber.value = value;
  fiber.source = source;
  if (!fiber.processor->gather(fiber, Together::shuffle, mask, site)) return fiber.result;
  Warp &warp = *fiber.warp;
  mask &= warp.all;
  for (uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) {
    Fiber &to = warp.fibers[__builtin_ctz(lanes)];
    if (to.source < 0 || to.source > 31 || !(mask >> to.source & 1))
      fiber.processor->fail(to, 0, site, "a shuffle reads lane %d, which does not take part (mask 0x%08x)", to.source,
                            mask);
    to.result = warp.fibers[to.source].value;
  }
  fiber.processor->release(fiber, mask);
  return fiber.result;
}

uint32_t ballot(uint32_t mask, int predicate, Site site) {
  Fiber &fiber = self();
  fiber.value = predicate != 0;
  if (!fiber.processor->gather(fiber, Together::ballot, mask, site)) return fiber.result;
  Warp &warp = *fiber.warp;
  mask &= warp.all;
  uint32_t votes = 0;
  for (uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) {
    int lane = __builtin_ctz(lanes);
    votes |= warp.fibers[lane].value << lane;
  }
  for (uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) warp.fibers[__builtin_ctz(lanes)].result = votes;
  fiber.processor->release(fiber, mask);
  return votes;
}

namespace {

template <class U, class S>
uint64_t apply(Atomic kind, U *address, U operand, U expected) {
  constexpr int order = __ATOMIC_SEQ_CST;
  if (kind == Atomic::add) return __atomic_fetch_add(address, operand, order);
  if (kind == Atomic::bitAnd) return __atomic_fetch_and(address, operand, order);
  if (kind == Atomic::bitOr) return __atomic_fetch_or(address, operand, order);
  if (kind == Atomic::exchange) return __atomic_exchange_n(address, operand, order);
  U before = __atomic_load_n(address, order);
  for (;;) {
    U after = before;
    switch (kind) {
      case Atomic::min:
        after = S(operand) < S(before) ? operand : before;
        break;
      case Atomic::max:
        after = S(operand) > S(before) ? operand : before;
        break;
      case Atomic::unsignedMin:
        after = operand < before ? operand : before;
        break;
      case Atomic::unsignedMax:
        after = operand > before ? operand : before;
        break;
      default:
        after = before == expected ? operand : before;
        break;
    }
    if (__atomic_compare_exchange_n(address, &before, after, false, order, order)) return before;
  }
}

}  // namespace

uint64_t atomic(Atomic kind, void *address, uint32_t bytes, uint64_t operand, uint64_t expected, Site site) {
  Fiber &fiber = self();
  auto at = reinterpret_cast<uintptr_t>(address);
  if (at % bytes != 0) fiber.processor->fail(fiber, 0, site, "misaligned atomic of %u bytes", bytes);
  fiber.processor->access(fiber, at, bytes, Sharing::atomic, 0, site, true);
  if (bytes == 8) return apply<uint64_t, int64_t>(kind, static_cast<uint64_t *>(address), operand, expected);
  return apply<uint32_t, int32_t>(kind, static_cast<uint32_t *>(address), uint32_t(operand), uint32_t(expected));
}

void trap(Site site) {
  Fiber &fiber = self();
  fiber.processor->fail(fiber, 0, site, "__trap()");
}

}  // namespace semgen::simulator
