// Places buffers with known lifetimes into one arena.
#pragma once
#include <cstddef>
#include <vector>

namespace semgen {

struct Lifetime {
  size_t bytes;
  int first, last;  // first and last operation that touches it, inclusive
};

struct Placement {
  std::vector<size_t> offsets;  // one a lifetime, on 64-byte boundaries
  size_t total = 0;
};

/// Largest first, each at the lowest offset where it overlaps no buffer alive at the same time. O(n^2) in their number.
Placement place(const std::vector<Lifetime> &lifetimes);

}  // namespace semgen
