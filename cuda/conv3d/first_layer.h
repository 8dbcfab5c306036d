// Convolutions of one channel in bfloat16: taps are the depth of the product, gathered from a brick in shared memory.
#pragma once
#include <cstddef>

#include "cuda/conv3d/halo.h"

namespace semgen::cuda {

struct FirstLayerPlan {
  bool possible = false;
  int columns = 0;      // channels that a block writes
  HaloLayout layout{};  // in elements of 2 bytes
  Int3 bricks{};
  size_t sharedBytes = 0;

  FirstLayerPlan() = default;
  /// Forwards, for a lattice of one class; `steps`: of 32 taps.
  FirstLayerPlan(const Lattice &lattice, int steps, size_t sharedLimit);
};

/// Points of a brick; channels that a block writes forwards; taps that a block of the weight gradient computes.
constexpr int firstLayerPointBits = 8, firstLayerPoints = 1 << firstLayerPointBits, firstLayerColumns = 32,
              firstLayerTaps = 32;

}  // namespace semgen::cuda
