#include "cuda/simulator/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

#include "cuda/simulator/simulator.h"

namespace semgen::simulator {

uintptr_t deviceBase = 0;
size_t deviceBytes = 0;
ptrdiff_t shadowDelta = 0, stampDelta = 0;
uintptr_t sectorStamps = 0;

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kGap = size_t{1} << 20;  // unallocated bytes between allocations: addresses only, no memory

std::mutex mutex;
size_t cursor = 0, used = 0;

/// Offset of each allocation, and its bytes. Never destroyed: other static objects may free memory late.
std::map<size_t, size_t> &allocations() {
  static auto *all = new std::map<size_t, size_t>;
  return *all;
}

size_t pages(size_t bytes) { return (std::max<size_t>(bytes, 1) + kPage - 1) / kPage * kPage; }

/// Half the machine's memory, or SEMGEN_SIM_MEMORY bytes: tests of running out of it set that.
size_t total() {
  static const size_t bytes = [] {
    if (const char *text = std::getenv("SEMGEN_SIM_MEMORY")) return size_t(std::strtoull(text, nullptr, 10));
    return size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)) / 2;
  }();
  return bytes;
}

bool reserve() {
  if (deviceBase != 0) return true;
  for (size_t bytes = size_t{1} << 38; bytes >= size_t{1} << 30; bytes /= 2) {
    constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    size_t all = bytes * 3 + bytes / 8;
    void *range = mmap(nullptr, all, PROT_NONE, flags, -1, 0);
    if (range == MAP_FAILED) continue;
    // The shadow is readable everywhere, so that any address of the range can be checked.
    auto *shadow = static_cast<uint8_t *>(range) + bytes;
    if (mprotect(shadow, all - bytes, PROT_READ | PROT_WRITE) != 0) {
      munmap(range, all);
      continue;
    }
    shadowDelta = ptrdiff_t(bytes);
    stampDelta = ptrdiff_t(bytes * 2);
    sectorStamps = reinterpret_cast<uintptr_t>(range) + bytes * 3;
    deviceBytes = bytes;
    deviceBase = reinterpret_cast<uintptr_t>(range);
    return true;
  }
  return false;
}

/// The offset of a free stretch with a gap on both sides; the search starts behind the latest allocation, so that freed
/// addresses stay unallocated for long. SIZE_MAX if there is none.
size_t place(size_t bytes) {
  for (size_t start : {cursor, size_t{0}}) {
    size_t at = start + kGap;
    auto next = allocations().lower_bound(start);
    while (next != allocations().end() && next->first < at + bytes + kGap) {
      at = std::max(at, next->first + pages(next->second) + kGap);
      ++next;
    }
    if (at + bytes + kGap <= deviceBytes) return at;
  }
  return SIZE_MAX;
}

}  // namespace

void *allocateDevice(size_t bytes) {
  std::lock_guard lock(mutex);
  size_t room = pages(bytes);
  if (room < bytes || room > total() - std::min(used, total()) || !reserve()) return nullptr;
  size_t at = place(room);
  if (at == SIZE_MAX) return nullptr;
  void *device = reinterpret_cast<void *>(deviceBase + at);
  if (mprotect(device, room, PROT_READ | PROT_WRITE) != 0) return nullptr;
  std::memset(shadowOf(deviceBase + at), kUnwritten, bytes);
  allocations()[at] = bytes;
  used += room;
  cursor = at + room;
  return device;
}

bool freeDevice(void *device) {
  std::lock_guard lock(mutex);
  auto found = allocations().find(reinterpret_cast<uintptr_t>(device) - deviceBase);
  if (deviceBase == 0 || found == allocations().end()) return false;
  size_t room = pages(found->second);
  madvise(device, room, MADV_DONTNEED);
  mprotect(device, room, PROT_NONE);
  auto *shadow = shadowOf(reinterpret_cast<uintptr_t>(device));
  madvise(shadow, room, MADV_DONTNEED);  // zeros: unallocated
  madvise(stampOf(reinterpret_cast<uintptr_t>(device)), room, MADV_DONTNEED);
  used -= room;
  allocations().erase(found);
  return true;
}

void clearStamps() {
  std::lock_guard lock(mutex);
  if (deviceBase == 0) return;
  madvise(stampOf(deviceBase), deviceBytes, MADV_DONTNEED);
  madvise(reinterpret_cast<void *>(sectorStamps), deviceBytes / 8, MADV_DONTNEED);
}

size_t deviceMemoryTotal() { return total(); }
size_t deviceMemoryFree() {
  std::lock_guard lock(mutex);
  return total() - std::min(used, total());
}

std::string describeAddress(uintptr_t address) {
  std::lock_guard lock(mutex);
  size_t at = address - deviceBase;
  auto next = allocations().upper_bound(at);
  std::string best = "not near any allocation";
  size_t distance = kGap;
  if (next != allocations().begin()) {
    auto before = std::prev(next);
    size_t offset = at - before->first;
    std::string size = "an allocation of " + std::to_string(before->second) + " bytes";
    if (offset < before->second) return "byte " + std::to_string(offset) + " of " + size;
    if (offset - before->second < distance) {
      distance = offset - before->second;
      best = std::to_string(distance) + " bytes past the end of " + size;
    }
  }
  if (next != allocations().end() && next->first - at < distance)
    best = std::to_string(next->first - at) + " bytes before the start of an allocation of " +
           std::to_string(next->second) + " bytes";
  return best;
}

std::string obstacle(uintptr_t address, size_t bytes, bool write) {
  for (uintptr_t at = address; at < address + bytes; ++at) {
    uint8_t state = inDevice(at) ? *shadowOf(at) : kUnallocated;
    if (state == kWritten || (write && state == kUnwritten)) continue;
    if (state == kUnallocated) return "out of bounds (" + describeAddress(at) + ")";
    if (state == kBarred) return "in memory that its pool has not handed out (" + describeAddress(at) + ")";
    return "of memory that was never written (" + describeAddress(at) + ")";
  }
  return "";
}

void markWritten(uintptr_t address, size_t bytes) { std::memset(shadowOf(address), kWritten, bytes); }

namespace {
void setState(void *device, size_t bytes, uint8_t state) {
  auto address = reinterpret_cast<uintptr_t>(device);
  if (bytes > 0 && inDevice(address) && inDevice(address + bytes - 1)) std::memset(shadowOf(address), state, bytes);
}
}  // namespace

void forgetWrites(void *device, size_t bytes) { setState(device, bytes, kUnwritten); }
void bar(void *device, size_t bytes) { setState(device, bytes, kBarred); }
void open(void *device, size_t bytes) { setState(device, bytes, kUnwritten); }

size_t sharedMemoryLimit() {
  static const size_t bytes = [] {
    const char *text = std::getenv("SEMGEN_SIM_SHARED");
    return std::clamp<size_t>(text == nullptr ? 227 : size_t(std::strtoull(text, nullptr, 10)), 48, 227) * 1024;
  }();
  return bytes;
}

int multiprocessors() {
  static const int count = [] {
    const char *text = std::getenv("SEMGEN_SIM_MULTIPROCESSORS");
    return text == nullptr ? 8 : int(std::clamp<unsigned long>(std::strtoul(text, nullptr, 10), 1, 1024));
  }();
  return count;
}

}  // namespace semgen::simulator
