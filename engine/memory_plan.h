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

/// Largest first, each at the lowest offset where it overlaps no buffer alive at the same time.
/// Within a few per cent of the peak of live bytes for networks with skips; O(n^2) in the number of buffers.
Placement place(const std::vector<Lifetime> &lifetimes);

}  // namespace semgen
