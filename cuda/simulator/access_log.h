// What each lane of a warp has read and written since the last count, and what that costs a card.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace semgen::simulator {

/// Of one launch, on one multiprocessor; see KernelCounters for the meaning.
struct LaunchCounters {
  uint16_t launch = 0;  // its number, which stamps the sectors it touches
  uint64_t sectors[2] = {}, idealSectors[2] = {}, distinctSectors[2] = {}, bytes[2] = {};  // read, written
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

/// A lane's part of an access of its warp.
struct LaneAccess {
  uint64_t address;
  uint32_t lane, bytes;
};
class AccessLog {
 public:
  static constexpr uint32_t kRoom = 256;  // entries a lane

  AccessLog();
  Access &entry(uint32_t lane, uint32_t i) { return entries_[lane * kStride + i]; }
  /// Adds the accesses of `lengths[lane]` entries a lane.
  void count(const uint32_t (&lengths)[32], LaunchCounters &counters);

 private:
  static constexpr uint32_t kStride = kRoom + 4;  // lanes' entries a power of two apart would fall into the same sets
  static constexpr uint32_t kSlots = 4 * 32 * kRoom;  // of the hash table

  /// An instruction, and how often lanes have been there.
  struct Instruction {
    uint32_t where;
    bool shared, write;
    uint32_t lane, turn;  // of the lane that was there last
    uint32_t turns;       // the most of any lane
    uint32_t firstGroup, slot;
  };
  void countApart(const uint32_t (&lengths)[32], uint32_t first, LaunchCounters &counters);
  uint32_t instructionOf(const Access &access);

  std::unique_ptr<Access[]> entries_;
  std::vector<Instruction> instructions_;
  std::vector<int32_t> slots_;  // index of an instruction, or -1
  std::vector<uint32_t> groups_, starts_;
  std::vector<LaneAccess> grouped_;
};

/// `count` lanes that access together, in order of lane.
void countGlobal(const LaneAccess *lanes, int count, bool write, LaunchCounters &counters);
void countShared(const LaneAccess *lanes, int count, LaunchCounters &counters);

}  // namespace semgen::simulator
