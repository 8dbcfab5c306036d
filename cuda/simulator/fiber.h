// Threads of a block as fibers: stacks in one reserved range, and the switch between them.
//
// A fiber is found by its stack pointer alone: slot i of the range is the stack of fiber i. So the checks of a memory
// access need no thread-local variable, and an access to the fiber's own stack is known by one comparison.
#pragma once
#include <cstddef>
#include <cstdint>

namespace semgen::simulator {

inline constexpr int kMaxThreads = 1024;        // of a block
inline constexpr int kMaxMultiprocessors = 64;  // blocks in flight
inline constexpr int kSlotBits = 17;
inline constexpr size_t kSlotBytes = size_t{1} << kSlotBits;  // a stack, with its guard page at the low end
inline constexpr size_t kStacksBytes = kSlotBytes * kMaxThreads * kMaxMultiprocessors;

/// Start of the stacks' range, aligned to a slot; 0 until reserveStacks.
extern uintptr_t stacksBase;

/// Reserves the range; throws Error OUT_OF_MEMORY where the system refuses.
void reserveStacks();
/// Makes slots [first, first + count) usable.
void commitStacks(size_t first, size_t count);
/// A stack pointer for switchTo that starts `entry` on slot's empty stack. `entry` must not return.
void *newStack(size_t slot, void (*entry)());

inline bool inStacks(uintptr_t address) { return address - stacksBase < kStacksBytes; }
inline size_t slotOf(uintptr_t address) { return (address - stacksBase) >> kSlotBits; }

}  // namespace semgen::simulator

/// Saves the registers that a function must keep on this stack, stores the stack pointer in *saved, and goes on where
/// the stack `to` was left.
extern "C" void semgenSwitchStack(void **saved, void *to);
