// Memory of the host.
#pragma once
#include "engine/memory.h"

namespace semgen::cpu {

class HostBuffer : public Buffer {
 public:
  /// Throws Error OUT_OF_MEMORY.
  HostBuffer(size_t bytes, const char *purpose);
  ~HostBuffer() override;
};

}  // namespace semgen::cpu
