// The points of a convolution's lattice, one after the other.
#pragma once
#include "cuda/conv3d/lattice.h"
#include "cuda/device.cuh"

namespace semgen::cuda {

/// A position in the lattice that moves in equal steps without divisions.
struct Walk {
  int image, x, y, z;

  /// To the point of this number.
  __host__ __device__ void start(const Int3 &extents, int64_t point) {
    int64_t each = int64_t(extents.x) * extents.y * extents.z;
    image = int(point / each);
    int rest = int(point - image * each), xy = rest / extents.z;
    z = rest - xy * extents.z;
    x = xy / extents.y;
    y = xy - x * extents.y;
  }
  /// By as many points as lie from the lattice's first to `step`.
  SEMGEN_DEVICE void advance(const Int3 &extents, const Walk &step) {
    z += step.z;
    int carry = z >= extents.z;
    z -= carry ? extents.z : 0;
    y += step.y + carry;
    carry = y >= extents.y;
    y -= carry ? extents.y : 0;
    x += step.x + carry;
    carry = x >= extents.x;
    x -= carry ? extents.x : 0;
    image += step.image + carry;
  }
};

}  // namespace semgen::cuda
