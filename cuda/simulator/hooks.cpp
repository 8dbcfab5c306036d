// The functions that instrumented code calls. Kernels are compiled with -fsanitize=thread, which puts a call before
// every access to memory that others might see; here those calls are the simulator's checks. ThreadSanitizer's own
// library is not linked. Outside a fiber (host code of the same file) they do nothing.
//
// Nothing is thrown: the compiler takes these functions for ones that return. A fault leaves the fiber for good.
#include <cstdint>
#include <cstring>

#include "cuda/simulator/memory.h"
#include "cuda/simulator/multiprocessor.h"

using namespace semgen::simulator;

namespace {

template <size_t size>
using Bytes =
    std::conditional_t<size == 1, uint8_t,
                       std::conditional_t<size == 2, uint16_t, std::conditional_t<size == 4, uint32_t, uint64_t>>>;

/// An access of a power of two of bytes.
template <size_t size, bool write>
inline void check(const void *pointer, void *instruction) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  auto stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if ((address ^ stack) >> kSlotBits == 0 || !inStacks(stack)) return;
  Fiber &fiber = fibers[slotOf(stack)];
  Multiprocessor *processor = fiber.processor;
  if (processor == nullptr) return;  // the simulator's own work
  auto at = reinterpret_cast<uintptr_t>(instruction);
  if (address % size != 0 && !inStacks(address))
    processor->fail(fiber, at, Site(), "misaligned %s of %zu bytes at 0x%zx", write ? "write" : "read", size,
                    size_t(address));
  if (inDevice(address)) {
    constexpr size_t step = size < 8 ? size : 8;
    using Part = Bytes<step>;
    constexpr auto ones = Part(0x0101010101010101ull), written = Part(ones * kWritten);
    bool good = true;
    for (size_t i = 0; i < size; i += step) {
      Part state;
      std::memcpy(&state, shadowOf(address) + i, step);
      good &= write ? (state & ones) == ones : state == written;
    }
    if (good && processor->aloneIn(address, size, write)) {
      if (write) std::memset(shadowOf(address), kWritten, size);
      processor->log(fiber, address, size, write, false, uint32_t(at));
      return;
    }
  }
  if constexpr (size >= 4) {
    SharedMemory &shared = processor->dynamicShared();
    if (address - shared.base() < shared.bytes() && size <= shared.bytes() - (address - shared.base()) &&
        shared.accessQuickly<write>(fiber, address, size / 4)) {
      processor->log(fiber, address, size, write, true, uint32_t(at));
      return;
    }
  }
  processor->access(fiber, address, size, write ? Sharing::write : Sharing::read, at, Site(), true);
}

/// Any number of bytes: in words where the address allows, else byte by byte.
void checkRange(const void *pointer, size_t bytes, bool write, void *instruction) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  auto stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if ((address ^ stack) >> kSlotBits == 0 || !inStacks(stack)) return;
  Fiber &fiber = fibers[slotOf(stack)];
  Multiprocessor *processor = fiber.processor;
  if (processor == nullptr) return;
  for (size_t done = 0; done < bytes;) {
    size_t piece = (address + done) % 4 == 0 && bytes - done >= 4 ? 4 : 1;
    processor->access(fiber, address + done, piece, write ? Sharing::write : Sharing::read,
                      reinterpret_cast<uintptr_t>(instruction), Site(), true);
    done += piece;
  }
}

}  // namespace

#define SEMGEN_RETURN_ADDRESS __builtin_extract_return_addr(__builtin_return_address(0))
#define SEMGEN_ACCESS(bytes)                                                                                     \
  void __tsan_read##bytes(void *address) { check<bytes, false>(address, SEMGEN_RETURN_ADDRESS); }                \
  void __tsan_write##bytes(void *address) { check<bytes, true>(address, SEMGEN_RETURN_ADDRESS); }                \
  void __tsan_volatile_read##bytes(void *address) { check<bytes, false>(address, SEMGEN_RETURN_ADDRESS); }       \
  void __tsan_volatile_write##bytes(void *address) { check<bytes, true>(address, SEMGEN_RETURN_ADDRESS); }       \
  void __tsan_unaligned_read##bytes(void *address) { checkRange(address, bytes, false, SEMGEN_RETURN_ADDRESS); } \
  void __tsan_unaligned_write##bytes(void *address) { checkRange(address, bytes, true, SEMGEN_RETURN_ADDRESS); }

// std::atomic and shared pointers of host code in the same file. Kernels use CUDA's atomics.
#define SEMGEN_ATOMICS(bits, T)                                                                                     \
  T __tsan_atomic##bits##_load(const volatile T *a, int) { return __atomic_load_n(a, __ATOMIC_SEQ_CST); }           \
  void __tsan_atomic##bits##_store(volatile T *a, T v, int) { __atomic_store_n(a, v, __ATOMIC_SEQ_CST); }           \
  T __tsan_atomic##bits##_exchange(volatile T *a, T v, int) { return __atomic_exchange_n(a, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_add(volatile T *a, T v, int) { return __atomic_fetch_add(a, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_sub(volatile T *a, T v, int) { return __atomic_fetch_sub(a, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_and(volatile T *a, T v, int) { return __atomic_fetch_and(a, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_or(volatile T *a, T v, int) { return __atomic_fetch_or(a, v, __ATOMIC_SEQ_CST); }   \
  T __tsan_atomic##bits##_fetch_xor(volatile T *a, T v, int) { return __atomic_fetch_xor(a, v, __ATOMIC_SEQ_CST); } \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile T *a, T *c, T v, int, int) {                          \
    return __atomic_compare_exchange_n(a, c, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                         \
  }                                                                                                                 \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile T *a, T *c, T v, int, int) {                            \
    return __atomic_compare_exchange_n(a, c, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                          \
  }

extern "C" {

void __tsan_init() {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
void __tsan_func_exit() {}

void __tsan_func_entry(void *) {
  auto stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  constexpr uintptr_t inSlot = kSlotBytes - 1, least = 16384;  // what a fault's report needs, and the guard page
  if (!inStacks(stack) || (stack & inSlot) > least) return;
  Fiber &fiber = fibers[slotOf(stack)];
  fiber.processor->fail(fiber, reinterpret_cast<uintptr_t>(SEMGEN_RETURN_ADDRESS), Site(),
                        "the thread's stack is full: %zu KiB of local variables", (kSlotBytes - least) / 1024);
}

SEMGEN_ACCESS(1)
SEMGEN_ACCESS(2)
SEMGEN_ACCESS(4)
SEMGEN_ACCESS(8)
SEMGEN_ACCESS(16)
void __tsan_read_range(void *address, size_t bytes) { checkRange(address, bytes, false, SEMGEN_RETURN_ADDRESS); }
void __tsan_write_range(void *address, size_t bytes) { checkRange(address, bytes, true, SEMGEN_RETURN_ADDRESS); }

SEMGEN_ATOMICS(8, uint8_t)
SEMGEN_ATOMICS(16, uint16_t)
SEMGEN_ATOMICS(32, uint32_t)
SEMGEN_ATOMICS(64, uint64_t)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

/// Of -fsanitize=bounds: an index past an array of known extent, local or static shared.
struct BoundsData {
  struct {
    const char *file;
    uint32_t line, column;
  } where;
};
void __ubsan_handle_out_of_bounds(BoundsData *data, uintptr_t index) {
  auto stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (!inStacks(stack)) return;
  Fiber &fiber = fibers[slotOf(stack)];
  fiber.processor->fail(fiber, reinterpret_cast<uintptr_t>(SEMGEN_RETURN_ADDRESS), Site(),
                        "index %td is out of the bounds of its array, in line %u", ptrdiff_t(index), data->where.line);
}
}
