// Memory of the host.
#pragma once
#include "engine/memory.h"

namespace semgen::cpu {

class HostBuffer : public Buffer {
 public:
  /// `limit`: bytes that this process may take in all, where it is not all that the machine has. Throws Error
  /// OUT_OF_MEMORY.
  HostBuffer(size_t bytes, const char *purpose, size_t limit = 0);
  ~HostBuffer() override;
};

}  // namespace semgen::cpu
