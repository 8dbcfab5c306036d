// Memory of a card that is held only because it was free: it is given back when an allocation fails.
#pragma once
#include <mutex>
#include <vector>

namespace semgen::cuda {

class SpareMemory {
 public:
  virtual ~SpareMemory() = default;
  /// From any thread; true where something was given back.
  virtual bool giveBack() = 0;
};

/// All of an engine's.
class SpareMemories {
 public:
  void add(SpareMemory *memory) {
    std::lock_guard lock(mutex_);
    all_.push_back(memory);
  }
  void remove(SpareMemory *memory) {
    std::lock_guard lock(mutex_);
    std::erase(all_, memory);
  }
  bool giveBack() {
    std::lock_guard lock(mutex_);
    bool given = false;
    for (SpareMemory *memory : all_) given = memory->giveBack() || given;
    return given;
  }

 private:
  std::mutex mutex_;
  std::vector<SpareMemory *> all_;
};

}  // namespace semgen::cuda
