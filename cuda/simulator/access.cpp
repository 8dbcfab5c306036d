// Checks of one thread's access to memory, asynchronous copies, and what is said when a check fails.
#include <dlfcn.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/simulator/memory.h"
#include "cuda/simulator/multiprocessor.h"

namespace semgen::simulator {

namespace {

const char *verb(Sharing sharing) {
  return sharing == Sharing::read ? "read" : sharing == Sharing::write ? "write" : "atomic";
}

thread_local char anchor;  // a variable among the module's thread-local ones, to have the loader make them

/// The module that holds the kernels and the simulator: constant parts, and where this thread's variables lie.
struct Module {
  Range constant[8] = {};
  int constants = 0;
  Range locals = {};
};

int visit(dl_phdr_info *info, size_t, void *data) {
  auto &module = *static_cast<Module *>(data);
  auto here = reinterpret_cast<uintptr_t>(&visit);
  bool mine = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto &part = info->dlpi_phdr[i];
    uintptr_t start = info->dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD && here - start < part.p_memsz) mine = true;
  }
  if (!mine) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto &part = info->dlpi_phdr[i];
    uintptr_t start = info->dlpi_addr + part.p_vaddr;
    bool constant = (part.p_type == PT_LOAD && !(part.p_flags & PF_W)) || part.p_type == PT_GNU_RELRO;
    if (constant && module.constants < 8) module.constant[module.constants++] = {start, part.p_memsz};
    if (part.p_type == PT_TLS) module.locals = {reinterpret_cast<uintptr_t>(info->dlpi_tls_data), part.p_memsz};
  }
  return 1;
}

Module inspect() {
  Module module;
  *const_cast<volatile char *>(&anchor) = 1;
  dl_iterate_phdr(visit, &module);
  return module;
}

}  // namespace

Range threadLocals() {
  thread_local const Range locals = inspect().locals;
  return locals;
}

bool isConstant(uintptr_t address, size_t bytes) {
  static const Module module = inspect();
  for (int i = 0; i < module.constants; ++i) {
    const Range &part = module.constant[i];
    if (address - part.start < part.bytes && bytes <= part.bytes - (address - part.start)) return true;
  }
  return false;
}

SharedMemory *Multiprocessor::sharedAt(uintptr_t address) {
  if (address - reinterpret_cast<uintptr_t>(dynamicRange_) < 3 * kSharedRoom) return &dynamic_;
  if (address - static_.base() < static_.bytes()) return &static_;
  return nullptr;
}

void Multiprocessor::failShared(Fiber &fiber, SharedFault what, SharedMemory &memory, uintptr_t address, size_t size,
                                Sharing sharing, Stamp other, uintptr_t instruction, Site site) {
  const char *kind = &memory == &dynamic_ ? "dynamic" : "static";
  uint3 with = fibers_[threadOf(other)].index;
  unsigned offset = unsigned(address - memory.base());
  switch (what) {
    case SharedFault::unwritten:
      fail(fiber, instruction, site, "%s of %zu bytes of shared memory that was never written (%s, offset %u)",
           verb(sharing), size, kind, offset);
    case SharedFault::inFlight:
      fail(fiber, instruction, site,
           "%s of %zu bytes of shared memory that a cp_async of thread (%u, %u, %u) is still on its way to: no "
           "cp_async_wait yet (%s, offset %u)",
           verb(sharing), size, with.x, with.y, with.z, kind, offset);
    default:
      fail(fiber, instruction, site,
           "race: %s of %zu bytes of shared memory that thread (%u, %u, %u) used with no barrier between the two "
           "(%s, offset %u)",
           verb(sharing), size, with.x, with.y, with.z, kind, offset);
  }
}

void Multiprocessor::access(Fiber &fiber, uintptr_t address, size_t size, Sharing sharing, uintptr_t instruction,
                            Site site, bool logged) {
  bool write = sharing != Sharing::read;
  auto where = uint32_t(instruction != 0 ? instruction : std::bit_cast<uintptr_t>(site));
  if (inDevice(address)) {
    const uint8_t *shadow = shadowOf(address);
    bool good = true;
    for (size_t i = 0; i < size; ++i) good &= sharing == Sharing::write ? (shadow[i] & 1) != 0 : shadow[i] == kWritten;
    if (!good) {
      fiber.processor = nullptr;  // the text is made by library code that may be instrumented: no checks there
      std::string why = obstacle(address, size, sharing == Sharing::write);
      fiber.processor = this;
      fail(fiber, instruction, site, "%s of %zu bytes %s", verb(sharing), size, why.c_str());
    }
    if (sharing == Sharing::atomic)
      usedAtomics = true;
    else if (!aloneIn(address, size, write))
      fail(fiber, instruction, site,
           "race: %s of %zu bytes of global memory that block %u wrote in the same launch (%s)", verb(sharing), size,
           *stampOf(address) & 0xffff, "blocks run in any order");
    if (sharing == Sharing::write) std::memset(shadowOf(address), kWritten, size);
    if (logged) log(fiber, address, size, write, false, where);
    return;
  }
  if (SharedMemory *memory = sharedAt(address)) {
    if (address < memory->base() || address + size > memory->base() + memory->bytes())
      fail(fiber, instruction, site, "%s of %zu bytes of shared memory out of bounds: offset %td of %zu bytes",
           verb(sharing), size, ptrdiff_t(address - memory->base()), memory->bytes());
    Stamp other = 0;
    SharedFault fault = memory->access(fiber, address, size, sharing, &other);
    if (fault != SharedFault::none) failShared(fiber, fault, *memory, address, size, sharing, other, instruction, site);
    if (logged) log(fiber, address, size, write, true, where);
    return;
  }
  if (inStacks(address)) {
    if (slotOf(address) == size_t(&fiber - fibers)) return;
    fail(fiber, instruction, site, "%s of %zu bytes of another thread's local memory", verb(sharing), size);
  }
  if (!write) {
    auto call = reinterpret_cast<uintptr_t>(launch->call);
    if (address - call < launch->call->bytes || isConstant(address, size)) return;
  }
  fail(fiber, instruction, site, "%s of %zu bytes at 0x%zx, which is no memory of the device (%s)", verb(sharing), size,
       size_t(address), address < 4096 ? "a null pointer" : "the host's?");
}

void Multiprocessor::startCopy(Fiber &fiber, void *to, const void *from, uint32_t bytes, bool fill, Site site) {
  auto target = reinterpret_cast<uintptr_t>(to), source = reinterpret_cast<uintptr_t>(from);
  if (target % bytes != 0 || (fill && source % bytes != 0))
    fail(fiber, 0, site, "misaligned cp_async: the %s address is not a multiple of %u",
         target % bytes != 0 ? "shared" : "global", bytes);
  if (fill) {
    if (!inDevice(source)) fail(fiber, 0, site, "a cp_async from what is not global memory");
    access(fiber, source, bytes, Sharing::read, 0, site, true);
  }
  SharedMemory *memory = sharedAt(target);
  if (memory == nullptr || target < memory->base() || target + bytes > memory->base() + memory->bytes())
    fail(fiber, 0, site, "a cp_async of %u bytes to shared memory out of bounds: offset %td of %zu bytes", bytes,
         memory == nullptr ? ptrdiff_t(-1) : ptrdiff_t(target - memory->base()),
         memory == nullptr ? size_t(0) : memory->bytes());
  Stamp other = 0;
  SharedFault fault = memory->start(fiber, target, bytes, &other);
  if (fault != SharedFault::none) failShared(fiber, fault, *memory, target, bytes, Sharing::write, other, 0, site);
  log(fiber, target, bytes, true, true, uint32_t(std::bit_cast<uintptr_t>(site)));
  if (fiber.copyCount == fiber.copyRoom) {
    uint32_t room = std::max(16u, fiber.copyRoom * 2);
    auto *grown = static_cast<Copy *>(std::realloc(fiber.copies, room * sizeof(Copy)));
    if (grown == nullptr) fail(fiber, 0, site, "the host ran out of memory for copies on their way");
    fiber.copies = grown;
    fiber.copyRoom = room;
  }
  fiber.copies[fiber.copyCount++] = {to, fill ? from : nullptr, bytes, fiber.copyGroup};
}

void Multiprocessor::landCopies(Fiber &fiber, int pending) {
  uint32_t landed = 0;
  for (; landed < fiber.copyCount; ++landed) {
    const Copy &copy = fiber.copies[landed];
    if (copy.group + uint32_t(pending) >= fiber.copyGroup) break;
    if (copy.from != nullptr)
      std::memcpy(copy.to, copy.from, copy.bytes);
    else
      std::memset(copy.to, 0, copy.bytes);
    auto target = reinterpret_cast<uintptr_t>(copy.to);
    sharedAt(target)->land(fiber, target, copy.bytes);
  }
  fiber.copyCount -= landed;
  if (landed > 0) std::memmove(fiber.copies, fiber.copies + landed, fiber.copyCount * sizeof(Copy));
}

void copyAsync(void *shared, const void *global, uint32_t bytes, bool fill, Site site) {
  Fiber &fiber = self();
  fiber.processor->startCopy(fiber, shared, global, bytes, fill, site);
}
void commitCopies() { ++self().copyGroup; }
void waitForCopies(int pending) {
  Fiber &fiber = self();
  fiber.processor->landCopies(fiber, pending);
}

}  // namespace semgen::simulator
