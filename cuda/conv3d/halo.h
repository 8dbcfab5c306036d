// The fast path of dense convolutions: a brick of voxels with its halo in shared memory serves all taps.
#pragma once
#include <cstddef>

#include "cuda/conv3d/lattice.h"

namespace semgen::cuda {

/// How a block's brick lies in shared memory; in units of 16 bytes. A voxel's channels take an odd number of units, one
/// of them padding; lines and planes are padded until any 8 neighbouring points of a brick lie in different banks.
struct HaloLayout {
  Int3 brick, bits;  // extents of the brick of points, powers of two: 1 << bits
  Int3 halo, low;    // extents with the halo; the lowest tap offset
  int voxel, line, plane, units;

  int64_t haloVoxels() const { return int64_t(halo.x) * halo.y * halo.z; }
};

/// Bricks of `1 << pointBits` points for these taps and extents: as few as can be, with the smallest halo. With one
/// unit a voxel, no padding.
HaloLayout layoutFor(const Lattice &lattice, Int3 points, int pointBits, int voxelUnits);
Int3 bricksIn(Int3 extents, Int3 brick);
/// Whether more than half of what the bricks compute would be in vain.
bool wasteful(const HaloLayout &layout, Int3 points);

struct HaloPlan {
  bool possible = false;
  int points = 0;   // of a brick: 256 or 512
  int columns = 0;  // channels a block writes
  int buffers = 1;  // of the halo: with 2 the next channels are loaded while these are used
  Int3 bricks{};    // by axis
  HaloLayout layout{};
  int tapUnits[maxTaps] = {};  // where a tap's voxel lies from that of the lowest tap
  size_t sharedBytes = 0;

  /// For bfloat16, multiples of 32 channels, neighbouring points on neighbouring voxels, several taps a class.
  HaloPlan() = default;
  /// `columns`: 32, 64 or 128.
  HaloPlan(const Lattice &lattice, int columns, size_t sharedLimit);
};

}  // namespace semgen::cuda
