// Small passes over activations: sums by channel, casts between element types, units left unwritten.
#pragma once
#include "cuda/conv3d/lattice.h"
#include "cuda/runtime.h"
#include "engine/tensor.h"

namespace semgen::cuda {

/// Sums of an activation over images and voxels: of all of them (kinds 1), or apart for each of the 27 kinds of voxel
/// by how they touch the border (9 kx + 3 ky + kz, k 0 at the first voxel of an axis, 2 at the last, 1 between).
struct ChannelSums {
  DType type;
  int images, channels, kinds;
  Int3 extents;
  /// The sums of all kinds add up to 0: that of the inner voxels (kind 13) is what the others leave, and they are not
  /// read.
  bool balanced = false;

  /// Partial sums, added up in a fixed order.
  size_t partialBytes() const;
  /// sums [kinds, channels] float32.
  void run(cudaStream_t stream, const void *activation, float *partial, float *sums) const;
};

/// to = from, rounded; float32 and bfloat16.
void castElements(cudaStream_t stream, const void *from, DType fromType, void *to, DType toType, int64_t count);

/// y = relu(z * scale + shift), bfloat16, `count` elements: for readers of an unwritten unit that take no other way.
void writeUnit(cudaStream_t stream, const void *z, const float2 *affine, void *y, int channels, int64_t count);

}  // namespace semgen::cuda
