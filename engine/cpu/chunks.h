// Sums over many elements that have the same bits on any number of threads: fixed chunks, each summed in order by one
// thread, and the chunks' sums added in order.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace semgen::cpu {

/// The sum of body(first, last) over chunks of 0 .. count. body returns its chunk's sum, in float64.
template <class Body>
double sumInChunks(int64_t count, Body &&body) {
  constexpr int64_t length = 16384;
  int64_t chunks = (count + length - 1) / length;
  std::vector<double> sums(size_t(chunks), 0.0);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < chunks; ++i) sums[size_t(i)] = body(i * length, std::min(count, (i + 1) * length));
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace semgen::cpu
