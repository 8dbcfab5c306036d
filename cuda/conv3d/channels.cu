// Sums by channel, casts, units to be written: memory-bound, each element read once, of balanced sums only those at the
// border. Sums: a block of 256 threads, `width` channels by 256 / width voxels, adds up its share of the voxels of one
// kind; partial sums are added in order by a second kernel.
#include <algorithm>

#include "cuda/conv3d/channels.h"
#include "cuda/device.cuh"
#include "cuda/launch.h"
#include "cuda/norm/affine.cuh"

namespace semgen::cuda {

namespace {

constexpr int threads = 256, voxelsPerBlock = 512, maxBlocks = 1024, innerKind = 13;

struct SumParams {
  const void *activation;
  float *partial;
  int images, channels, width, kinds, blocks, skippedKind;  // -1: none
  Int3 extents;
};

SEMGEN_DEVICE int firstOf(int side, int extent) { return side == 0 ? 0 : side == 1 ? 1 : extent - 1; }
SEMGEN_DEVICE int countOf(int side, int extent) {
  return side == 0 ? 1 : side == 1 ? (extent > 2 ? extent - 2 : 0) : (extent > 1 ? 1 : 0);
}

template <class Element>
__global__ void __launch_bounds__(threads) sumVoxels(SumParams p) {
  __shared__ float shared[threads];
  int lane = int(threadIdx.x) % p.width, channel = int(blockIdx.y) * p.width + lane, kind = int(blockIdx.z);
  if (kind == p.skippedKind) return;
  Int3 first{0, 0, 0}, count = p.extents;
  if (p.kinds > 1) {
    Int3 side{kind / 9, kind / 3 % 3, kind % 3};
    first = {firstOf(side.x, p.extents.x), firstOf(side.y, p.extents.y), firstOf(side.z, p.extents.z)};
    count = {countOf(side.x, p.extents.x), countOf(side.y, p.extents.y), countOf(side.z, p.extents.z)};
  }
  int64_t all = int64_t(p.images) * count.x * count.y * count.z, each = (all + p.blocks - 1) / p.blocks;
  int64_t begin = blockIdx.x * each, end = begin + each < all ? begin + each : all;
  const Element *activation = static_cast<const Element *>(p.activation);
  float sum = 0;
  if (channel < p.channels)
    for (int64_t v = begin + threadIdx.x / p.width; v < end; v += threads / p.width) {
      int64_t row = v / count.z;
      int z = int(v - row * count.z) + first.z;
      int64_t plane = row / count.y;
      int y = int(row - plane * count.y) + first.y;
      int64_t image = plane / count.x;
      int x = int(plane - image * count.x) + first.x;
      int64_t voxel = ((image * p.extents.x + x) * p.extents.y + y) * p.extents.z + z;
      sum += to_float(activation[voxel * p.channels + channel]);
    }
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (int(threadIdx.x) >= p.width || channel >= p.channels) return;
  for (int i = int(threadIdx.x) + p.width; i < threads; i += p.width) sum += shared[i];
  p.partial[(int64_t(kind) * p.blocks + blockIdx.x) * p.channels + channel] = sum;
}

__global__ void __launch_bounds__(threads)
    addPartials(const float *partial, float *sums, int blocks, int channels, int results, int skippedKind) {
  int i = int(blockIdx.x) * threads + int(threadIdx.x);
  if (i >= results || i / channels == skippedKind) return;
  const float *from = partial + int64_t(i / channels) * blocks * channels + i % channels;
  double sum = 0;
  for (int b = 0; b < blocks; ++b) sum += from[int64_t(b) * channels];
  sums[i] = float(sum);
}

/// sums[innerKind] = what the others leave of 0.
__global__ void __launch_bounds__(threads) balanceKinds(float *sums, int channels, int kinds) {
  int channel = int(blockIdx.x) * threads + int(threadIdx.x);
  if (channel >= channels) return;
  double sum = 0;
  for (int kind = 0; kind < kinds; ++kind) sum += kind == innerKind ? 0.0f : sums[kind * channels + channel];
  sums[innerKind * channels + channel] = float(-sum);
}

template <class From, class To>
__global__ void __launch_bounds__(threads) castKernel(const From *from, To *to, int64_t count) {
  int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i < count) to[i] = from_float<To>(to_float(from[i]));
}

__global__ void __launch_bounds__(threads)
    writeUnitKernel(const uint4 *z, const float2 *affine, uint4 *y, int pieces, int64_t count) {
  int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i < count) y[i] = normalisedPiece(z[i], affine, int(i % pieces));
}

/// Blocks of one kind.
int blocksFor(const ChannelSums &s) {
  int64_t x = s.extents.x, y = s.extents.y, z = s.extents.z, voxels = x * y * z;
  if (s.balanced) voxels = std::max({x * y, y * z, z * x});
  int64_t blocks = (s.images * voxels + voxelsPerBlock - 1) / voxelsPerBlock;
  return int(std::min<int64_t>(blocks, maxBlocks));
}

}  // namespace

size_t ChannelSums::partialBytes() const {
  return size_t(blocksFor(*this)) * size_t(kinds) * size_t(channels) * sizeof(float);
}

void ChannelSums::run(cudaStream_t stream, const void *activation, float *partial, float *sums) const {
  int width = 1, blocks = blocksFor(*this), skipped = balanced ? innerKind : -1;
  while (width < channels && width < 32) width *= 2;
  SumParams p{activation, partial, images, channels, width, kinds, blocks, skipped, extents};
  Grid grid{unsigned(blocks), unsigned((channels + width - 1) / width), unsigned(kinds)};
  launch(stream, type == DType::bf16 ? sumVoxels<bf16> : sumVoxels<float>, grid, Block{threads}, 0, p);
  int results = kinds * channels;
  launch(stream, addPartials, Grid{unsigned((results + threads - 1) / threads)}, Block{threads}, 0, partial, sums,
         blocks, channels, results, skipped);
  if (balanced)
    launch(stream, balanceKinds, Grid{unsigned((channels + threads - 1) / threads)}, Block{threads}, 0, sums, channels,
           kinds);
}

void castElements(cudaStream_t stream, const void *from, DType fromType, void *to, DType toType, int64_t count) {
  Grid grid{unsigned((count + threads - 1) / threads)};
  auto start = [&]<class From, class To>() {
    launch(stream, castKernel<From, To>, grid, Block{threads}, 0, static_cast<const From *>(from),
           static_cast<To *>(to), count);
  };
  if (fromType == DType::bf16)
    toType == DType::bf16 ? start.template operator()<bf16, bf16>() : start.template operator()<bf16, float>();
  else
    toType == DType::bf16 ? start.template operator()<float, bf16>() : start.template operator()<float, float>();
}

void writeUnit(cudaStream_t stream, const void *z, const float2 *affine, void *y, int channels, int64_t count) {
  int64_t pieces = count / 8;
  launch(stream, writeUnitKernel, Grid{unsigned((pieces + threads - 1) / threads)}, Block{threads}, 0,
         static_cast<const uint4 *>(z), affine, static_cast<uint4 *>(y), channels / 8, pieces);
}

}  // namespace semgen::cuda
