// Cuts a box out of a 16-bit scan and brings it to a shape: linear, with anti-aliasing where it shrinks.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/host/perturb.h"

namespace semgen {

/// A prepared scan: (x, y, z), z fastest; a value stands for value / 65535.
struct ScanView {
  const uint16_t *voxels;
  Extents shape;
};

/// How one axis of a box of `size` voxels becomes `extent` voxels.
///
/// Voxel i is centred at (i + 0.5) size / extent - 0.5. Its value is the mean of the box's voxels under a triangle that
/// is as wide as two voxels of the coarser of both grids: linear interpolation where the box grows, averaging over the
/// area where it shrinks. What of the triangle lies outside the box is left out, so the box's last voxels repeat.
class AxisWeights {
 public:
  AxisWeights(int64_t size, int64_t extent);
  /// The box's voxels of output `i` are first(i) .. first(i) + count(i) - 1.
  int64_t first(int64_t i) const { return first_[static_cast<size_t>(i)]; }
  int64_t count(int64_t i) const { return offset_[static_cast<size_t>(i) + 1] - offset_[static_cast<size_t>(i)]; }
  const float *weights(int64_t i) const { return weights_.data() + offset_[static_cast<size_t>(i)]; }
  bool identity() const { return identity_; }

 private:
  std::vector<int64_t> first_, offset_;
  std::vector<float> weights_;
  bool identity_;
};

/// The weights of a box on its way to a shape, and the work on it.
class Resampling {
 public:
  Resampling(const Extents &size, const Extents &shape);

  struct Scratch {
    std::vector<float> plane, rows, row;
  };

  /// Writes planes [from, to) of the result to `out` (to - from, shape[1], shape[2]). `start` may lie outside the scan:
  /// the scan's border voxels repeat. How the planes are split into calls does not change a bit of them.
  void run(const ScanView &scan, const Extents &start, int64_t from, int64_t to, float *out, Scratch &scratch) const;

 private:
  void plane(const ScanView &scan, const Extents &start, int64_t x, float *out, Scratch &scratch) const;
  Extents size_, shape_;
  AxisWeights x_, y_, z_;
};

}  // namespace semgen
