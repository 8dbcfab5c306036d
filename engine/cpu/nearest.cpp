// Exact nearest neighbours by Euclidean distance: O(Q * P * W) operations, O(k) memory a query at work.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/checks.h"
#include "engine/cpu/compiler.h"
#include "engine/host/clones.h"

namespace semgen::cpu {

namespace {

/// Sum of squared differences, in 16 running sums: fast, in one order on every machine. Differences rather than
/// |a|^2 + |b|^2 - 2ab, which loses the small distances that matter here.
SEMGEN_CLONES float roughly(const float *a, const float *b, int64_t width) {
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

/// The same in float64, in eight sums. What is not a number is farther than everything.
SEMGEN_CLONES double exactly(const float *a, const float *b, int64_t width) {
  double sums[8] = {};
  int64_t whole = width / 8 * 8;
  for (int64_t i = 0; i < whole; i += 8)
    for (int lane = 0; lane < 8; ++lane) {
      double difference = double(a[i + lane]) - double(b[i + lane]);
      sums[lane] += difference * difference;
    }
  for (int64_t i = whole; i < width; ++i) {
    double difference = double(a[i]) - double(b[i]);
    sums[i - whole] += difference * difference;
  }
  for (int half = 4; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return std::isnan(sums[0]) ? std::numeric_limits<double>::infinity() : sums[0];
}

struct Candidate {
  double squared;
  int32_t index;
  /// Nearer, or as near and of lower index.
  bool operator<(const Candidate &other) const {
    return squared < other.squared || (squared == other.squared && index < other.index);
  }
};

/// The k nearest so far, as a heap with the farthest on top.
struct Best {
  Candidate *heap;
  int64_t k, size = 0;

  /// Below this, a squared distance may enter.
  double limit() const { return size < k ? std::numeric_limits<double>::infinity() : heap[0].squared; }
  void offer(Candidate candidate) {
    if (size == k) {
      if (!(candidate < heap[0])) return;
      std::pop_heap(heap, heap + size--);
    }
    heap[size++] = candidate;
    std::push_heap(heap, heap + size);
  }
};

/// Points pass the rough test, whose error is bounded, before their distance is computed in float64.
void search(const float *query, const float *points, int64_t count, int64_t width, int64_t queries, Best *best) {
  // Terms are not negative, so relative errors add up: three roundings a term, one an addition.
  double slack = 1 - double(width / 16 + 8) * std::numeric_limits<float>::epsilon();
  for (int64_t p = 0; p < count; ++p)
    for (int64_t q = 0; q < queries; ++q) {
      const float *from = query + q * width, *to = points + p * width;
      float rough = roughly(from, to, width);
      if (rough * slack > best[q].limit() && std::isfinite(rough)) continue;
      best[q].offer({exactly(from, to, width), int32_t(p)});
    }
}

void nearest(CpuCompiler &c, const Operation &op) {
  const Shape queries = requireRank(c.program, op, "queries", 2), points = requireRank(c.program, op, "points", 2);
  const Shape found = requireRank(c.program, op, "indices", 2);
  requireShape(c.program, op, "distances", found);
  for (const char *role : {"queries", "points", "distances"}) requireType(c.program, op, role, DType::f32);
  requireType(c.program, op, "indices", DType::i32);
  if (queries[1] != points[1] || found[0] != queries[0] || found[1] > points[0] || points[0] > INT32_MAX)
    throw Error("NATIVE", "nearest cannot find " + describe(found) + " neighbours of queries " + describe(queries) +
                              " among points " + describe(points) + ".");
  int64_t count = queries[0], width = queries[1], k = found[1];
  // A few queries at once share each point while it is in the cache.
  int64_t group = std::clamp<int64_t>(count / c.threads, 1, 8);
  TensorId heaps = c.program.scratch(size_t(c.threads * group * k) * sizeof(Candidate));
  Operand indices = c.place(op.at("indices"), c.dense(op.at("indices"), found).desc);
  Operand distances = c.place(op.at("distances"), c.dense(op.at("distances"), found).desc);
  c.loop([=, &c, from = op.at("queries"), among = op.at("points"), indices = indices.id, distances = distances.id,
          pointCount = points[0]] {
    const float *query = c.data<float>(from), *point = c.data<float>(among);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < count; first += group) {
      int64_t here = std::min(group, count - first);
      Best best[8];
      for (int64_t q = 0; q < here; ++q)
        best[q] = {c.data<Candidate>(heaps) + (omp_get_thread_num() * group + q) * k, k};
      search(query + first * width, point, pointCount, width, here, best);
      for (int64_t q = 0; q < here; ++q) {
        std::sort_heap(best[q].heap, best[q].heap + k);
        for (int64_t i = 0; i < k; ++i) {
          c.data<int32_t>(indices)[(first + q) * k + i] = best[q].heap[i].index;
          c.data<float>(distances)[(first + q) * k + i] = float(std::sqrt(best[q].heap[i].squared));
        }
      }
    }
  });
}

}  // namespace

const std::vector<Registration> nearestOperations = {{"nearest", nearest}};

}  // namespace semgen::cpu
