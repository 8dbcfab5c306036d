// The composed decoder's small passes: the order of the convolution's weights, and the bias of the transposed
// convolution as it comes through the 3x3x3 convolution, which differs by how a voxel touches the border.
// All are memory-bound over Co * M * 27 floats, read and written in runs; sums have a fixed order.
#include "cuda/composed/kernels.h"
#include "cuda/device.cuh"
#include "cuda/launch.h"

namespace semgen::cuda {

namespace {

constexpr int threads = 256, taps = 27, kinds = 27;

/// A block brings 32 channels x 27 taps of one output channel into the other order, and takes the bias through them.
__global__ void __launch_bounds__(threads)
    arrangeKernel(const float *conv, const float *upBias, float *images, float *biases, int middle, int convIn) {
  __shared__ float tile[middleRun * taps];
  int co = int(blockIdx.y), first = int(blockIdx.x) * middleRun;
  int count = middle - first < middleRun ? middle - first : middleRun;
  const float *from = conv + (int64_t(co) * convIn + first) * taps;
  for (int i = threadIdx.x; i < count * taps; i += threads) tile[i] = from[i];
  __syncthreads();
  // 27 is odd: lanes that read 27 floats apart meet no bank twice.
  for (int i = threadIdx.x; i < taps * middleRun; i += threads) {
    int m = i % middleRun, t = i / middleRun;
    if (m < count) images[(int64_t(co) * taps + t) * middle + first + m] = tile[m * taps + t];
  }
  int t = threadIdx.x;
  if (t >= taps) return;
  float sum = 0;
  for (int m = 0; m < count; ++m) sum += upBias[first + m] * tile[m * taps + t];
  biases[(int64_t(co) * gridDim.x + blockIdx.x) * taps + t] = sum;
}

__global__ void __launch_bounds__(threads) spreadKernel(const float *dimages, const float *upBias, const float *tapSums,
                                                        float *dconv, int middle, int convIn) {
  __shared__ float tile[middleRun * taps];
  int co = int(blockIdx.y), first = int(blockIdx.x) * middleRun;
  int count = middle - first < middleRun ? middle - first : middleRun;
  for (int i = threadIdx.x; i < taps * middleRun; i += threads) {
    int m = i % middleRun, t = i / middleRun;
    if (m < count)
      tile[m * taps + t] =
          dimages[(int64_t(co) * taps + t) * middle + first + m] + upBias[first + m] * tapSums[co * taps + t];
  }
  __syncthreads();
  float *to = dconv + (int64_t(co) * convIn + first) * taps;
  for (int i = threadIdx.x; i < count * taps; i += threads) to[i] = tile[i];
}

/// Whether tap t falls on a voxel of the upsampled tensor, seen from a voxel of this kind.
SEMGEN_DEVICE bool inside(int kind, int t) {
  bool in = true;
  for (int axis = 0; axis < 3; ++axis, kind /= 3, t /= 3)
    in = in && !(kind % 3 == 0 && t % 3 == 0) && !(kind % 3 == 2 && t % 3 == 2);
  return in;
}

/// A warp an output channel: a thread a tap sums the runs in order, then a thread a kind sums taps.
__global__ void __launch_bounds__(32) biasByKind(const float *biases, float *table, int out, int runs) {
  __shared__ float byTap[taps];
  int co = int(blockIdx.x), i = threadIdx.x;
  float sum = 0;
  if (i < taps)
    for (int run = 0; run < runs; ++run) sum += biases[(int64_t(co) * runs + run) * taps + i];
  if (i < taps) byTap[i] = sum;
  __syncthreads();
  if (i >= kinds) return;
  sum = 0;
  for (int t = 0; t < taps; ++t) sum += inside(i, t) ? byTap[t] : 0.0f;
  table[i * out + co] = sum;
}

/// A thread an output channel and tap.
__global__ void __launch_bounds__(threads) byTapKernel(const float *sums, float *tapSums, int out) {
  int i = int(blockIdx.x) * threads + int(threadIdx.x);
  if (i >= out * taps) return;
  int co = i / taps, t = i % taps;
  double sum = 0;
  for (int kind = 0; kind < kinds; ++kind) sum += inside(kind, t) ? sums[kind * out + co] : 0.0f;
  tapSums[i] = float(sum);
}

/// A block 32 middle channels, each the sum of 8 threads' shares of output channels and taps.
__global__ void __launch_bounds__(threads)
    biasGradient(const float *images, const float *tapSums, float *dupBias, int out, int middle) {
  __shared__ double shared[threads];
  int m = int(blockIdx.x) * 32 + int(threadIdx.x & 31);
  double sum = 0;
  if (m < middle)
    for (int i = threadIdx.x >> 5; i < out * taps; i += threads / 32)
      sum += double(images[int64_t(i) * middle + m]) * double(tapSums[i]);
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x >= 32 || m >= middle) return;
  for (int i = 1; i < threads / 32; ++i) sum += shared[i * 32 + threadIdx.x];
  dupBias[m] = float(sum);
}

Grid tiles(int out, int middle) { return {unsigned(middleRuns(middle)), unsigned(out)}; }

}  // namespace

void arrangeWeights(cudaStream_t stream, const float *conv, const float *upBias, float *images, float *biases, int out,
                    int middle, int convIn) {
  launch(stream, arrangeKernel, tiles(out, middle), Block{threads}, 0, conv, upBias, images, biases, middle, convIn);
}

void sumBiasByKind(cudaStream_t stream, const float *biases, float *table, int out, int middle) {
  launch(stream, biasByKind, Grid{unsigned(out)}, Block{32}, 0, biases, table, out, middleRuns(middle));
}

void sumByTap(cudaStream_t stream, const float *sums, float *tapSums, int out) {
  launch(stream, byTapKernel, Grid{unsigned((out * taps + threads - 1) / threads)}, Block{threads}, 0, sums, tapSums,
         out);
}

void spreadGradient(cudaStream_t stream, const float *dimages, const float *upBias, const float *tapSums, float *dconv,
                    int out, int middle, int convIn) {
  launch(stream, spreadKernel, tiles(out, middle), Block{threads}, 0, dimages, upBias, tapSums, dconv, middle, convIn);
}

void sumBiasGradient(cudaStream_t stream, const float *images, const float *tapSums, float *dupBias, int out,
                     int middle) {
  launch(stream, biasGradient, Grid{unsigned((middle + 31) / 32)}, Block{threads}, 0, images, tapSums, dupBias, out,
         middle);
}

}  // namespace semgen::cuda
