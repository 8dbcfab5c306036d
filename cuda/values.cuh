// Activations as the simple kernels see them: float32, whatever they are stored as. And the two ways in which those
// kernels go through them: one element a thread, and sums in a fixed order.
#pragma once
#include "cuda/compiler.h"
#include "cuda/device.cuh"
#include "cuda/launch.h"

namespace semgen::cuda {

/// Elements to read.
struct Values {
  const void *data;
  bool half;  // bfloat16
  SEMGEN_DEVICE float operator[](int64_t i) const {
    return half ? to_float(static_cast<const bf16 *>(data)[i]) : static_cast<const float *>(data)[i];
  }
};

/// Elements to write; null ones are not.
struct Places {
  void *data;
  bool half;
  SEMGEN_DEVICE void set(int64_t i, float value) const {
    if (!data) return;
    if (half)
      static_cast<bf16 *>(data)[i] = float2bf16(value);
    else
      static_cast<float *>(data)[i] = value;
  }
};

inline Values valuesOf(const CudaCompiler &c, TensorId id) { return {c.data(id), c.floats(id) == DType::bf16}; }
inline Places placesOf(const CudaCompiler &c, TensorId id) { return {c.data(id), c.floats(id) == DType::bf16}; }
inline Places placesOf(const CudaCompiler &c, const Operation &op, const char *role) {
  return op.has(role) ? placesOf(c, op.at(role)) : Places{nullptr, false};
}

inline constexpr int mapThreads = 256;

/// body(i) by one thread for each i below count. Neighbouring threads have neighbouring i.
template <class Body>
__global__ void __launch_bounds__(mapThreads) mapKernel(Body body, int64_t count) {
  int64_t i = int64_t(blockIdx.x) * mapThreads + threadIdx.x;
  if (i < count) body(i);
}

template <class Body>
void map(cudaStream_t stream, const Body &body, int64_t count) {
  launch(stream, mapKernel<Body>, Grid{unsigned((count + mapThreads - 1) / mapThreads)}, Block{mapThreads}, 0, body,
         count);
}

// --- sums ------------------------------------------------------------------------------------------------------------
// A block adds up a chunk of `sumChunk` elements in float64: threads theirs, then a tree. One more block adds the
// chunks, likewise. The order depends on the count alone: the same bits every time.
inline constexpr int sumThreads = 256;
inline constexpr int64_t sumChunk = 4096;

inline int64_t sumBlocks(int64_t count) { return (count + sumChunk - 1) / sumChunk; }

/// The sum of each thread's value over the block, in all threads.
SEMGEN_DEVICE double sumOverBlock(double value) {
  __shared__ double shared[sumThreads];
  __syncthreads();  // nobody reads a former sum any more
  shared[threadIdx.x] = value;
  for (int half = sumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  __syncthreads();
  return shared[0];
}

/// Body: void term(i, double (&sums)[N]) adds element i's terms; void finish(sums) by one thread, once all are known.
template <class Body, int N>
__global__ void __launch_bounds__(sumThreads) sumChunks(Body body, int64_t count, double *partial) {
  double sums[N] = {};
  int64_t first = int64_t(blockIdx.x) * sumChunk, last = first + sumChunk < count ? first + sumChunk : count;
  for (int64_t i = first + threadIdx.x; i < last; i += sumThreads) body.term(i, sums);
  for (int n = 0; n < N; ++n) {
    double sum = sumOverBlock(sums[n]);
    if (threadIdx.x == 0) partial[int64_t(blockIdx.x) * N + n] = sum;
  }
}

template <class Body, int N>
__global__ void __launch_bounds__(sumThreads) sumPartials(Body body, int64_t blocks, const double *partial) {
  double sums[N] = {};
  for (int64_t b = threadIdx.x; b < blocks; b += sumThreads)
    for (int n = 0; n < N; ++n) sums[n] += partial[b * N + n];
  for (int n = 0; n < N; ++n) sums[n] = sumOverBlock(sums[n]);
  if (threadIdx.x == 0) body.finish(sums);
}

/// `partial`: scratch of sumBlocks(count) * N float64.
template <int N, class Body>
void sum(cudaStream_t stream, const Body &body, int64_t count, double *partial) {
  int64_t blocks = sumBlocks(count);
  launch(stream, sumChunks<Body, N>, Grid{unsigned(blocks)}, Block{sumThreads}, 0, body, count, partial);
  launch(stream, sumPartials<Body, N>, Grid{1}, Block{sumThreads}, 0, body, blocks, partial);
}

}  // namespace semgen::cuda
