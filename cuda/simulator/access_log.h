// What each lane of a warp has read and written since the last count, and what that costs a card.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace semgen::simulator {

/// Of one launch, on one multiprocessor; see KernelCounters for the meaning.
struct LaunchCounters {
  uint64_t sectors[2] = {}, idealSectors[2] = {}, bytes[2] = {};  // read, written
  uint64_t wavefronts = 0, conflicts = 0;
  uint64_t mmaBf16 = 0, mmaTf32 = 0, barriers = 0;
  void add(const LaunchCounters &other);
};

struct Access {
  uint64_t address;
  uint32_t where;  // the instruction: accesses of lanes with the same one, the n-th time each, are one of the warp
  uint8_t bytes;
  bool write, shared;
};

class AccessLog {
 public:
  static constexpr uint32_t kRoom = 256;  // entries a lane

  AccessLog() : entries_(new Access[32 * kRoom]) {}
  Access &entry(uint32_t lane, uint32_t i) { return entries_[lane * kRoom + i]; }
  /// Adds the accesses of `lengths[lane]` entries a lane.
  void count(const uint32_t (&lengths)[32], LaunchCounters &counters);

 private:
  std::unique_ptr<Access[]> entries_;
};

/// One access of a warp: at most 32 entries of different lanes, in order of lane.
struct LaneAccess {
  uint64_t address;
  uint32_t lane, bytes;
};
void countGlobal(const LaneAccess *lanes, int count, bool write, LaunchCounters &counters);
void countShared(const LaneAccess *lanes, int count, LaunchCounters &counters);

}  // namespace semgen::simulator
