// Sums over many elements that have the same bits on any number of threads: fixed chunks, each summed in order by one
// thread, and the chunks' sums added in order.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace semgen::cpu {

/// The sum of body(first, last) over chunks of `length` in 0 .. count. body gives its chunk's sum: a float64, or
/// several as a struct with += that starts at zero.
template <class Body>
auto sumInChunks(int64_t count, int64_t length, Body &&body) {
  using Sum = decltype(body(int64_t{}, int64_t{}));
  int64_t chunks = (count + length - 1) / length;
  std::vector<Sum> sums(size_t(chunks), Sum{});
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < chunks; ++i) sums[size_t(i)] = body(i * length, std::min(count, (i + 1) * length));
  Sum total{};
  for (const Sum &sum : sums) total += sum;
  return total;
}

}  // namespace semgen::cpu
