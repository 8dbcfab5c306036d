#include "engine/tensor.h"

#include <sys/mman.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "engine/error.h"

namespace semgen {

std::string describe(const Shape &shape) {
  std::string text;
  for (int64_t extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text.empty() ? "a scalar" : text;
}

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

HostBuffer::HostBuffer(size_t bytes, const char *purpose) : bytes_(bytes) {
  if (bytes == 0) return;
  // The system promises memory it does not have and kills the process later: ask first for what is worth asking.
  constexpr size_t worthAsking = 64 << 20;
  auto refuse = [&](size_t available) {
    std::ostringstream message;
    message << "Out of memory: " << (bytes >> 20) << " MiB were needed for " << purpose;
    if (available) message << ", and " << (available >> 20) << " MiB are free";
    message << ". A smaller --batch, --patch or --base-width would fit.";
    throw Error("OUT_OF_MEMORY", message.str());
  };
  size_t available = bytes >= worthAsking ? availableMemory() : 0;
  if (available && bytes > available) refuse(available);
  data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data_ == MAP_FAILED) {
    data_ = nullptr;
    refuse(available);
  }
  if (bytes >= (4 << 20)) madvise(data_, bytes, MADV_HUGEPAGE);
}

HostBuffer::~HostBuffer() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace semgen
