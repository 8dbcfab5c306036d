// Exact nearest neighbours by Euclidean distance: queries [Q, W], points [P, W] -> the k nearest of each, nearest
// first, ties by lower index. Squared distances in float64, as sums of squared differences (|a|^2 + |b|^2 - 2ab loses
// the small ones), a warp a pair, lanes along W. Then a block a query takes the nearest that is left, k times: O(k P)
// operations a query, which is little beside the distances as long as k is not much more than W.
#include <cmath>

#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

constexpr int threads = 256;

SEMGEN_DEVICE double infinity() { return double(INFINITY); }

__global__ void __launch_bounds__(threads)
    measure(const float *queries, const float *points, double *squared, int64_t pairs, int64_t count, int64_t width) {
  int64_t pair = int64_t(blockIdx.x) * (threads / 32) + threadIdx.x / 32;
  if (pair >= pairs) return;  // whole warps
  const float *query = queries + pair / count * width, *point = points + pair % count * width;
  double sum = 0;
  for (int64_t i = threadIdx.x % 32; i < width; i += 32) {
    double difference = double(query[i]) - double(point[i]);
    sum += difference * difference;
  }
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  // What is not a number is farther than everything.
  if (threadIdx.x % 32 == 0) squared[pair] = sum == sum ? sum : infinity();
}

/// Takes the k nearest of each query; those taken are marked by -1 in `squared`.
__global__ void __launch_bounds__(threads)
    choose(double *squared, int32_t *indices, float *distances, int count, int k) {
  __shared__ double nearest[threads];
  __shared__ int index[threads];
  double *mine = squared + int64_t(blockIdx.x) * count;
  for (int taken = 0; taken < k; ++taken) {
    double best = infinity();
    int place = -1;
    for (int p = int(threadIdx.x); p < count; p += threads) {
      double value = mine[p];
      if (value < 0 || (place >= 0 && !(value < best))) continue;
      best = value;
      place = p;
    }
    nearest[threadIdx.x] = best;
    index[threadIdx.x] = place;
    for (int half = threads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (int(threadIdx.x) >= half) continue;
      double other = nearest[threadIdx.x + half];
      int from = index[threadIdx.x + half], now = index[threadIdx.x];
      bool closer =
          from >= 0 && (now < 0 || other < nearest[threadIdx.x] || (other == nearest[threadIdx.x] && from < now));
      if (closer) {
        nearest[threadIdx.x] = other;
        index[threadIdx.x] = from;
      }
    }
    if (threadIdx.x == 0) {
      indices[int64_t(blockIdx.x) * k + taken] = index[0];
      distances[int64_t(blockIdx.x) * k + taken] = float(sqrt(nearest[0]));
      mine[index[0]] = -1;
    }
    __syncthreads();
  }
}

void findNearest(CudaCompiler &c, const Operation &op) {
  const Shape queries = requireRank(c.program, op, "queries", 2), points = requireRank(c.program, op, "points", 2);
  const Shape found = requireRank(c.program, op, "indices", 2);
  requireShape(c.program, op, "distances", found);
  for (const char *role : {"queries", "points", "distances"}) requireType(c.program, op, role, DType::f32);
  requireType(c.program, op, "indices", DType::i32);
  if (queries[1] != points[1] || found[0] != queries[0] || found[1] > points[0] || points[0] > INT32_MAX)
    throw Error("NATIVE", "nearest cannot find " + describe(found) + " neighbours of queries " + describe(queries) +
                              " among points " + describe(points) + ".");
  int64_t pairs = queries[0] * points[0];
  c.step([=, &c, squared = c.scratch(size_t(pairs) * sizeof(double))](cudaStream_t stream) {
    launch(stream, measure, Grid{unsigned((pairs + threads / 32 - 1) / (threads / 32))}, Block{threads}, 0,
           c.data<float>(op.at("queries")), c.data<float>(op.at("points")), c.data<double>(squared), pairs, points[0],
           points[1]);
    launch(stream, choose, Grid{unsigned(queries[0])}, Block{threads}, 0, c.data<double>(squared),
           c.data<int32_t>(op.at("indices")), c.data<float>(op.at("distances")), int(points[0]), int(found[1]));
  });
}

}  // namespace

const std::vector<Registration> nearestOperations = {{"nearest", findNearest}};

}  // namespace semgen::cuda
