// The last part of a weight gradient: the splits' partial sums [split][tap x channel][row], added in order and brought
// into the gradient's own order. Memory-bound: every partial sum is read once.
#include "cuda/conv3d/tile.cuh"
#include "cuda/conv3d/weight_gradient.h"
#include "cuda/launch.h"

namespace semgen::cuda {

namespace {

/// Adds each `group` neighbouring splits into the first of them, in order: a thread an element and group.
__global__ void __launch_bounds__(256) foldSplits(float *partial, int64_t elements, int splits, int step, int group) {
  int64_t i = int64_t(blockIdx.x) * 256 + threadIdx.x, first = int64_t(blockIdx.y) * group;
  if (i >= elements) return;
  float sum = 0;
#pragma unroll 4
  for (int64_t s = first; s < first + group && s * step < splits; ++s) sum += partial[s * step * elements + i];
  partial[first * step * elements + i] = sum;
}

struct SumParams {
  const float *partial;
  float *dweight;
  int taps, channels[2], plain, splits, step;
  int64_t flat;
  WeightsView view;
};

/// Five blocks a multiprocessor: for more, nvcc would spill on sm_80.
/// Adds the splits in order and brings [tap x channel][row] into the gradient's own order, 64 x 32 at a time through
/// shared memory: reads are runs of 128 bytes, and so are writes where taps or rows lie side by side.
__global__ void __launch_bounds__(256, 5) sumSplitsKernel(const __grid_constant__ SumParams p) {
  __shared__ float tile[64][33];
  int64_t first = int64_t(blockIdx.x) * 64;
  int row = int(blockIdx.y) * 32 + (threadIdx.x & 31);
  for (int i = threadIdx.x >> 5; i < 64; i += 8) {
    int64_t at = first + i;  // channel x tap, taps fastest
    if (at >= p.flat || row >= p.plain) continue;
    int channel = int(at / p.taps), tap = int(at - int64_t(channel) * p.taps);
    int64_t flat = channel < p.channels[0]
                       ? int64_t(tap) * p.channels[0] + channel
                       : int64_t(p.taps) * p.channels[0] + int64_t(tap) * p.channels[1] + channel - p.channels[0];
    float sum = 0;
    for (int64_t s = 0; s < p.splits; s += p.step) sum += p.partial[(s * p.flat + flat) * p.plain + row];
    tile[i][threadIdx.x & 31] = sum;
  }
  __syncthreads();
  bool rowsInnermost = p.view.rowStride == 1;
  for (int i = threadIdx.x; i < 64 * 32; i += 256) {
    int position = rowsInnermost ? i >> 5 : i & 63, inTile = rowsInnermost ? i & 31 : i >> 6;
    int64_t at = first + position, to = int64_t(blockIdx.y) * 32 + inTile, channel = at / p.taps;
    if (at < p.flat && to < p.plain)
      p.dweight[to * p.view.rowStride + channel * p.view.depthStride + (at - channel * p.taps) * p.view.tapStride] =
          tile[position][inTile];
  }
}

}  // namespace

void sumSplits(cudaStream_t stream, const WeightGradientShape &s, const WeightGradientPointers &pointers) {
  // Many splits: in groups first, for more threads to share the work.
  constexpr int group = 16;
  int64_t elements = s.flat * s.plain;
  int step = 1;
  for (int left = s.splits; left > 2 * group; left = (left + group - 1) / group, step *= group)
    launch(stream, foldSplits, Grid{unsigned((elements + 255) / 256), unsigned((left + group - 1) / group)}, Block{256},
           0, pointers.partial, elements, s.splits, step, group);
  SumParams sum{pointers.partial,
                pointers.dweight,
                s.lattice.taps,
                {s.gathered[0], s.gathered[1]},
                s.plain,
                s.splits,
                step,
                s.flat,
                s.view};
  launch(stream, sumSplitsKernel, Grid{unsigned((s.flat + 63) / 64), unsigned((s.plain + 31) / 32), 1}, Block{256}, 0,
         sum);
}

}  // namespace semgen::cuda
