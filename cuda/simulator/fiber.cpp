#include "cuda/simulator/fiber.h"

#include <sys/mman.h>

#include "engine/error.h"

#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.globl semgenSwitchStack
.hidden semgenSwitchStack
.type semgenSwitchStack, @function
semgenSwitchStack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size semgenSwitchStack, .-semgenSwitchStack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.p2align 4
.globl semgenSwitchStack
.hidden semgenSwitchStack
.type semgenSwitchStack, %function
semgenSwitchStack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size semgenSwitchStack, .-semgenSwitchStack
)");
#else
#error "The simulator switches stacks on x86-64 and aarch64 only."
#endif

namespace semgen::simulator {

uintptr_t stacksBase = 0;

void reserveStacks() {
  if (stacksBase != 0) return;
  void *range = mmap(nullptr, kStacksBytes + kSlotBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED)
    throw Error("OUT_OF_MEMORY", "The simulator found no room for " + std::to_string(kStacksBytes >> 30) +
                                     " GiB of address space for its threads' stacks; is it limited (ulimit -v)?");
  stacksBase = (reinterpret_cast<uintptr_t>(range) + kSlotBytes - 1) & ~(kSlotBytes - 1);
}

void commitStacks(size_t first, size_t count) {
  for (size_t slot = first; slot < first + count; ++slot) {
    auto *start = reinterpret_cast<void *>(stacksBase + (slot << kSlotBits) + 4096);
    if (mprotect(start, kSlotBytes - 4096, PROT_READ | PROT_WRITE) != 0)
      throw Error("OUT_OF_MEMORY", "The simulator was refused memory for the stacks of a block's threads.");
  }
}

void *newStack(size_t slot, void (*entry)()) {
  // Tops a power of two apart would all fall into the same sets of the caches.
  uintptr_t top = stacksBase + ((slot + 1) << kSlotBits) - (slot % 97) * 320 % 32768 / 64 * 64;
#if defined(__x86_64__)
  auto *words = reinterpret_cast<void **>(top) - 8;  // six registers, the entry, and no return address
  for (int i = 0; i < 8; ++i) words[i] = nullptr;
  words[6] = reinterpret_cast<void *>(entry);
#else
  auto *words = reinterpret_cast<void **>(top) - 20;
  for (int i = 0; i < 20; ++i) words[i] = nullptr;
  words[11] = reinterpret_cast<void *>(entry);
#endif
  return words;
}

}  // namespace semgen::simulator
