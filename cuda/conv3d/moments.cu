// Moments of all tiles: sums in float64 and in a fixed order, tile means weighted by their points. Memory-bound: 8
// bytes a tile and channel. A block sums 32 channels over a share of the tiles; a second kernel adds the shares.
#include "cuda/conv3d/moments.h"
#include "cuda/device.cuh"
#include "cuda/launch.h"

namespace semgen::cuda {

namespace {

constexpr int threads = 256, shares = 64;

__global__ void __launch_bounds__(threads)
    sumTiles(const float2 *moments, const int *counts, double *partial, int64_t tiles, int channels) {
  __shared__ double sums[2][threads];
  int channel = int(blockIdx.x) * 32 + int(threadIdx.x & 31), share = int(blockIdx.y);
  int64_t each = (tiles + shares - 1) / shares, first = share * each,
          last = first + each < tiles ? first + each : tiles;
  double sum = 0, squares = 0;
  if (channel < channels)
    for (int64_t tile = first + (threadIdx.x >> 5); tile < last; tile += threads / 32) {
      int count = counts[tile];
      if (count == 0) continue;
      float2 moment = moments[tile * channels + channel];
      sum += double(count) * moment.x;
      squares += double(moment.y) + double(count) * moment.x * moment.x;
    }
  sums[0][threadIdx.x] = sum;
  sums[1][threadIdx.x] = squares;
  __syncthreads();
  if (threadIdx.x >= 32 || channel >= channels) return;
  for (int i = int(threadIdx.x) + 32; i < threads; i += 32) {
    sum += sums[0][i];
    squares += sums[1][i];
  }
  partial[(int64_t(share) * 2) * channels + channel] = sum;
  partial[(int64_t(share) * 2 + 1) * channels + channel] = squares;
}

__global__ void __launch_bounds__(threads)
    finishMoments(const double *partial, float *mean, float *variance, int channels, int64_t points) {
  int channel = int(blockIdx.x) * threads + int(threadIdx.x);
  if (channel >= channels) return;
  double sum = 0, squares = 0;
  for (int share = 0; share < shares; ++share) {
    sum += partial[(int64_t(share) * 2) * channels + channel];
    squares += partial[(int64_t(share) * 2 + 1) * channels + channel];
  }
  double centre = sum / double(points), spread = squares / double(points) - centre * centre;
  mean[channel] = float(centre);
  variance[channel] = float(spread > 0 ? spread : 0);
}

}  // namespace

size_t MomentsShape::partialBytes() const { return size_t(shares) * 2 * size_t(channels) * sizeof(double); }

void MomentsShape::run(cudaStream_t stream, const TileStatistics &statistics, double *partial, float *mean,
                       float *variance) const {
  launch(stream, sumTiles, Grid{unsigned((channels + 31) / 32), shares, 1}, Block{threads}, 0, statistics.moments,
         statistics.counts, partial, tiles, channels);
  launch(stream, finishMoments, Grid{unsigned((channels + threads - 1) / threads)}, Block{threads}, 0, partial, mean,
         variance, channels, points);
}

}  // namespace semgen::cuda
