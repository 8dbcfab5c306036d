#include "cuda/simulator/access_log.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "cuda/simulator/memory.h"

namespace semgen::simulator {

void LaunchCounters::add(const LaunchCounters &other) {
  for (int i : {0, 1}) {
    sectors[i] += other.sectors[i];
    idealSectors[i] += other.idealSectors[i];
    distinctSectors[i] += other.distinctSectors[i];
    bytes[i] += other.bytes[i];
  }
  wavefronts += other.wavefronts;
  conflicts += other.conflicts;
  mmaBf16 += other.mmaBf16;
  mmaTf32 += other.mmaTf32;
  barriers += other.barriers;
}

/// Sectors from `first` to `last` that the launch has not read (written) before.
static uint64_t countFirstTouches(uint64_t first, uint64_t last, bool write, uint16_t launch) {
  uint64_t found = 0;
  for (uint64_t sector = first; sector <= last && inDevice(sector * 32); ++sector) {
    std::atomic_ref stamp(*sectorStampOf(sector, write));
    if (stamp.load(std::memory_order_relaxed) == launch) continue;
    found += stamp.exchange(launch, std::memory_order_relaxed) != launch;
  }
  return found;
}

void countGlobal(const LaneAccess *lanes, int count, bool write, LaunchCounters &counters) {
  LaneAccess sorted[32];
  auto before = [](const LaneAccess &a, const LaneAccess &b) { return a.address < b.address; };
  if (!std::is_sorted(lanes, lanes + count, before)) {
    std::copy(lanes, lanes + count, sorted);
    std::sort(sorted, sorted + count, before);
    lanes = sorted;
  }
  uint64_t sectors = 0, distinct = 0, end = 0, latest = UINT64_MAX, asked = 0;
  for (int i = 0; i < count; ++i) {
    uint64_t start = lanes[i].address, stop = start + lanes[i].bytes;
    asked += lanes[i].bytes;
    if (stop > end) distinct += stop - std::max(start, end);
    end = std::max(end, stop);
    uint64_t first = start / 32, last = (stop - 1) / 32;
    if (latest != UINT64_MAX && first <= latest) first = latest + 1;
    if (first <= last) {
      sectors += last - first + 1;
      latest = last;
      counters.distinctSectors[write] += countFirstTouches(first, last, write, counters.launch);
    }
  }
  counters.sectors[write] += sectors;
  counters.idealSectors[write] += (distinct + 31) / 32;
  counters.bytes[write] += asked;
}

void countShared(const LaneAccess *lanes, int count, LaunchCounters &counters) {
  // 32 lanes at a time for up to 4 bytes each, 16 for 8, 8 for 16: 128 bytes a wavefront at best.
  uint32_t group = lanes[0].bytes <= 4 ? 32 : lanes[0].bytes <= 8 ? 16 : 8;
  for (int i = 0; i < count;) {
    uint32_t phase = lanes[i].lane / group;
    uint64_t words[64];
    int wordCount = 0;
    uint64_t owner[32];
    uint32_t used = 0;
    bool clash = false;
    for (; i < count && lanes[i].lane / group == phase; ++i) {
      uint64_t last = (lanes[i].address + lanes[i].bytes - 1) / 4;
      for (uint64_t word = lanes[i].address / 4; word <= last && wordCount < 64; ++word) {
        uint32_t bank = word % 32;
        if (used >> bank & 1 && owner[bank] == word) continue;
        clash |= used >> bank & 1;
        used |= 1u << bank;
        owner[bank] = word;
        words[wordCount++] = word;
      }
    }
    uint64_t passes = 1;
    if (clash) {
      std::sort(words, words + wordCount);
      auto distinct = int(std::unique(words, words + wordCount) - words);
      uint8_t perBank[32] = {};
      for (int w = 0; w < distinct; ++w) passes = std::max<uint64_t>(passes, ++perBank[words[w] % 32]);
    }
    counters.wavefronts += passes;
    counters.conflicts += passes - 1;
  }
}

AccessLog::AccessLog() : entries_(new Access[32 * kStride]), slots_(kSlots, -1) {}

namespace {
void countTogether(const LaneAccess *lanes, int count, bool shared, bool write, LaunchCounters &counters) {
  if (shared)
    countShared(lanes, count, counters);
  else
    countGlobal(lanes, count, write, counters);
}
}  // namespace

void AccessLog::count(const uint32_t (&lengths)[32], LaunchCounters &counters) {
  uint32_t longest = 0, shortest = kRoom, lanes = 0;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (lengths[lane] == 0) continue;
    lanes |= 1u << lane;
    longest = std::max(longest, lengths[lane]);
    shortest = std::min(shortest, lengths[lane]);
  }
  if (lanes == 0) return;
  // As long as all lanes did the same, the i-th access of each is one of the warp.
  LaneAccess together[32];
  uint32_t same = 0;
  for (; same < shortest; ++same) {
    const Access &first = entry(uint32_t(std::countr_zero(lanes)), same);
    int members = 0;
    bool alike = true;
    for (uint32_t rest = lanes; rest != 0 && alike; rest &= rest - 1) {
      auto lane = uint32_t(std::countr_zero(rest));
      const Access &access = entry(lane, same);
      alike = access.where == first.where && access.shared == first.shared;
      together[members++] = {access.address, lane, access.bytes};
    }
    if (!alike) break;
    countTogether(together, members, first.shared, first.write, counters);
  }
  if (same < longest) countApart(lengths, same, counters);
}

uint32_t AccessLog::instructionOf(const Access &access) {
  uint32_t slot = (access.where * 2 + access.shared) * 0x9e3779b1u >> 17;
  static_assert(kSlots == 1u << 15);
  for (;; slot = (slot + 1) % kSlots) {
    if (slots_[slot] < 0) {
      slots_[slot] = int32_t(instructions_.size());
      instructions_.push_back({access.where, access.shared, access.write, 32, 0, 0, 0, slot});
      return uint32_t(slots_[slot]);
    }
    const Instruction &found = instructions_[size_t(slots_[slot])];
    if (found.where == access.where && found.shared == access.shared) return uint32_t(slots_[slot]);
  }
}

/// Where lanes went ways of their own: accesses belong together by instruction, and by how often a lane has been there.
void AccessLog::countApart(const uint32_t (&lengths)[32], uint32_t first, LaunchCounters &counters) {
  // Each access's instruction and turn; then its group; then all accesses in order of group, lanes in order.
  instructions_.clear();
  groups_.clear();
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t i = first; i < lengths[lane]; ++i) {
      uint32_t index = instructionOf(entry(lane, i));
      Instruction &instruction = instructions_[index];
      instruction.turn = instruction.lane == lane ? instruction.turn + 1 : 0;
      instruction.lane = lane;
      instruction.turns = std::max(instruction.turns, instruction.turn + 1);
      groups_.push_back(index << 16 | instruction.turn);
    }
  uint32_t groupCount = 0;
  for (Instruction &instruction : instructions_) {
    instruction.firstGroup = groupCount;
    groupCount += instruction.turns;
    slots_[instruction.slot] = -1;
  }
  starts_.assign(groupCount + 1, 0);
  for (uint32_t &group : groups_) {
    group = instructions_[group >> 16].firstGroup + (group & 0xffff);
    ++starts_[group + 1];
  }
  for (uint32_t g = 0; g < groupCount; ++g) starts_[g + 1] += starts_[g];
  grouped_.resize(groups_.size());
  size_t next = 0;
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t i = first; i < lengths[lane]; ++i) {
      const Access &access = entry(lane, i);
      grouped_[starts_[groups_[next++]]++] = {access.address, lane, access.bytes};
    }
  // Now starts_[g] is where group g ends.
  uint32_t start = 0;
  for (const Instruction &instruction : instructions_)
    for (uint32_t turn = 0; turn < instruction.turns; ++turn) {
      uint32_t end = starts_[instruction.firstGroup + turn];
      countTogether(grouped_.data() + start, int(end - start), instruction.shared, instruction.write, counters);
      start = end;
    }
}

}  // namespace semgen::simulator
