// Exact nearest neighbours by Euclidean distance. O(Q * P * W) operations, O(k) memory a query and thread.
#include <algorithm>
#include <cmath>

#include "engine/cpu/values.h"

namespace semgen::cpu {

namespace {

/// Sum of squared differences, in 16 running sums: fast, in one order on every machine. Differences rather than
/// |a|^2 + |b|^2 - 2ab, which loses the small distances that matter here.
__attribute__((target_clones("avx512f", "avx2", "default"))) float squaredDistance(const float *a, const float *b,
                                                                                   int64_t width) {
  float sums[16] = {};
  int64_t whole = width / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16)
    for (int lane = 0; lane < 16; ++lane) {
      float difference = a[i + lane] - b[i + lane];
      sums[lane] += difference * difference;
    }
  for (int64_t i = whole; i < width; ++i) sums[i - whole] += (a[i] - b[i]) * (a[i] - b[i]);
  for (int half = 8; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

void nearest(CpuCompiler &c, const Operation &op) {
  const Shape queries = c.program.shape(op.at("queries")), points = c.program.shape(op.at("points"));
  const Shape found = c.program.shape(op.at("indices"));
  bool fits = queries.size() == 2 && points.size() == 2 && found.size() == 2 && queries[1] == points[1] &&
              found[0] == queries[0] && found[1] <= points[0] && c.program.shape(op.at("distances")) == found &&
              points[0] <= INT32_MAX;
  if (!fits)
    throw Error("NATIVE", "nearest cannot find " + describe(found) + " neighbours of queries " + describe(queries) +
                              " among points " + describe(points) + ".");
  c.loop([&c, queries, points, k = found[1], from = op.at("queries"), among = op.at("points"),
          indices = op.at("indices"), distances = op.at("distances")] {
    int64_t width = queries[1];
    const float *query = c.data<float>(from), *point = c.data<float>(among);
#pragma omp parallel for schedule(static)
    for (int64_t q = 0; q < queries[0]; ++q) {
      // A heap of the k best so far, the worst on top; pairs order ties by index.
      std::vector<std::pair<float, int32_t>> best;
      for (int64_t p = 0; p < points[0]; ++p) {
        std::pair<float, int32_t> candidate{squaredDistance(query + q * width, point + p * width, width), int32_t(p)};
        if (int64_t(best.size()) == k) {
          if (!(candidate < best.front())) continue;
          std::pop_heap(best.begin(), best.end());
          best.back() = candidate;
        } else {
          best.push_back(candidate);
        }
        std::push_heap(best.begin(), best.end());
      }
      std::sort_heap(best.begin(), best.end());
      for (int64_t i = 0; i < k; ++i) {
        c.data<int32_t>(indices)[q * k + i] = best[size_t(i)].second;
        c.data<float>(distances)[q * k + i] = std::sqrt(best[size_t(i)].first);
      }
    }
  });
}

}  // namespace

const std::vector<Registration> nearestOperations = {{"nearest", nearest}};

}  // namespace semgen::cpu
