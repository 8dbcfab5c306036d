// The moments of a convolution's output from those of its tiles.
#pragma once
#include "cuda/conv3d/convolve.h"

namespace semgen::cuda {

struct MomentsShape {
  int64_t tiles;
  int channels;
  int64_t points;  // of all tiles

  size_t partialBytes() const;
  /// mean and biased variance [channels], float32.
  void run(cudaStream_t stream, const TileStatistics &statistics, double *partial, float *mean, float *variance) const;
};

}  // namespace semgen::cuda
