#include "engine/cpu/host_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace semgen::cpu {

/// The bytes that a line of a file of /proc tells in kilobytes; 0 where there is none.
static size_t bytesOf(const char *file, const std::string &wanted) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(wanted)) return std::strtoull(line.c_str() + wanted.size(), nullptr, 10) * 1024;
  return 0;
}

/// Bytes that could be given without swapping, to a process that may take `limit` (0: all that the machine has) of its
/// own, files aside; 0 where nobody tells.
static size_t availableMemory(size_t limit) {
  size_t ofMachine = bytesOf("/proc/meminfo", "MemAvailable:");
  if (!limit) return ofMachine;
  size_t taken = bytesOf("/proc/self/status", "RssAnon:");
  size_t left = taken < limit ? limit - taken : 1;
  return ofMachine ? std::min(ofMachine, left) : left;
}

HostBuffer::HostBuffer(size_t bytes, const char *purpose, size_t limit) : Buffer(nullptr, bytes) {
  if (bytes == 0) return;
  // The system promises memory it does not have and kills the process later: ask first for what is worth asking.
  constexpr size_t worthAsking = 64 << 20;
  size_t available = bytes >= worthAsking ? availableMemory(limit) : 0;
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
