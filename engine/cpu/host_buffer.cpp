#include "engine/cpu/host_buffer.h"

#include <sys/mman.h>

#include <fstream>
#include <string>

namespace semgen::cpu {

/// Bytes that the kernel could give without swapping; 0 where it does not tell.
static size_t availableMemory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  size_t kilobytes = 0;
  std::string unit;
  while (meminfo >> key >> kilobytes && std::getline(meminfo, unit))
    if (key == "MemAvailable:") return kilobytes * 1024;
  return 0;
}

HostBuffer::HostBuffer(size_t bytes, const char *purpose) : Buffer(nullptr, bytes) {
  if (bytes == 0) return;
  // The system promises memory it does not have and kills the process later: ask first for what is worth asking.
  constexpr size_t worthAsking = 64 << 20;
  size_t available = bytes >= worthAsking ? availableMemory() : 0;
  if (available && bytes > available) outOfMemory(bytes, purpose, available);
  void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) outOfMemory(bytes, purpose, available);
  if (bytes >= (4 << 20)) madvise(mapped, bytes, MADV_HUGEPAGE);
  data_ = mapped;
}

HostBuffer::~HostBuffer() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace semgen::cpu
