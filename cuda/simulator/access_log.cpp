#include "cuda/simulator/access_log.h"

#include <algorithm>
#include <bit>
#include <tuple>
#include <vector>

namespace semgen::simulator {

void LaunchCounters::add(const LaunchCounters &other) {
  for (int i : {0, 1}) {
    sectors[i] += other.sectors[i];
    idealSectors[i] += other.idealSectors[i];
    bytes[i] += other.bytes[i];
  }
  wavefronts += other.wavefronts;
  conflicts += other.conflicts;
  mmaBf16 += other.mmaBf16;
  mmaTf32 += other.mmaTf32;
  barriers += other.barriers;
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

void AccessLog::count(const uint32_t (&lengths)[32], LaunchCounters &counters) {
  uint32_t longest = 0, shortest = kRoom, lanes = 0;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (lengths[lane] == 0) continue;
    lanes |= 1u << lane;
    longest = std::max(longest, lengths[lane]);
    shortest = std::min(shortest, lengths[lane]);
  }
  if (lanes == 0) return;
  LaneAccess together[32];
  auto countOne = [&](int members, const Access &like) {
    if (like.shared)
      countShared(together, members, counters);
    else
      countGlobal(together, members, like.write, counters);
  };
  // As long as all lanes did the same, the i-th access of each is one of the warp.
  uint32_t same = 0;
  for (; same < shortest; ++same) {
    const Access *first = nullptr;
    int members = 0;
    bool alike = true;
    for (uint32_t rest = lanes; rest != 0 && alike; rest &= rest - 1) {
      auto lane = uint32_t(std::countr_zero(rest));
      const Access &access = entry(lane, same);
      if (first == nullptr) first = &access;
      alike = access.where == first->where && access.shared == first->shared;
      together[members++] = {access.address, lane, access.bytes};
    }
    if (!alike) break;
    countOne(members, *first);
  }
  if (same == longest) return;
  // After that they are told apart by instruction, and by how often a lane has been there.
  struct Numbered {
    uint32_t where, turn, lane;
    const Access *access;
  };
  std::vector<Numbered> all;
  std::vector<std::pair<uint32_t, uint32_t>> turns;  // of one lane: instruction, how often
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    auto lane = uint32_t(std::countr_zero(rest));
    turns.clear();
    for (uint32_t i = same; i < lengths[lane]; ++i) {
      const Access &access = entry(lane, i);
      auto found =
          std::find_if(turns.begin(), turns.end(), [&](const auto &turn) { return turn.first == access.where; });
      if (found == turns.end()) found = turns.insert(turns.end(), {access.where, 0});
      all.push_back({access.where, found->second++, lane, &access});
    }
  }
  std::sort(all.begin(), all.end(), [](const Numbered &a, const Numbered &b) {
    return std::tie(a.where, a.turn, a.access->shared, a.lane) < std::tie(b.where, b.turn, b.access->shared, b.lane);
  });
  for (size_t i = 0; i < all.size();) {
    const Numbered &first = all[i];
    int members = 0;
    // An instruction may do one access as two (cp_async reads and writes): at most one a lane goes together.
    for (uint32_t seen = 0; i < all.size() && all[i].where == first.where && all[i].turn == first.turn &&
                            all[i].access->shared == first.access->shared && !(seen >> all[i].lane & 1);
         ++i) {
      seen |= 1u << all[i].lane;
      together[members++] = {all[i].access->address, all[i].lane, all[i].access->bytes};
    }
    countOne(members, *first.access);
  }
}

}  // namespace semgen::simulator
