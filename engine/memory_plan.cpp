#include "engine/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace semgen {

Placement place(const std::vector<Lifetime> &lifetimes) {
  constexpr size_t alignment = 64;
  Placement result;
  result.offsets.assign(lifetimes.size(), 0);
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  std::vector<size_t> placed;  // by offset
  for (size_t index : order) {
    const Lifetime &buffer = lifetimes[index];
    size_t size = (buffer.bytes + alignment - 1) / alignment * alignment;
    size_t offset = 0;
    for (size_t other : placed) {
      const Lifetime &neighbour = lifetimes[other];
      if (neighbour.last < buffer.first || buffer.last < neighbour.first) continue;
      if (offset + size <= result.offsets[other]) break;  // fits into the gap before it
      size_t end = result.offsets[other] + (neighbour.bytes + alignment - 1) / alignment * alignment;
      offset = std::max(offset, end);
    }
    result.offsets[index] = offset;
    result.total = std::max(result.total, offset + size);
    auto after = std::upper_bound(placed.begin(), placed.end(), offset,
                                  [&](size_t value, size_t other) { return value < result.offsets[other]; });
    placed.insert(after, index);
  }
  return result;
}

}  // namespace semgen
