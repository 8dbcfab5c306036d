#include "cuda/conv3d/first_layer.h"

namespace semgen::cuda {

FirstLayerPlan::FirstLayerPlan(const Lattice &lattice, int steps, size_t sharedLimit) {
  if (lattice.classes != 1 || lattice.outStep.x != 1 || lattice.outStep.y != 1 || lattice.outStep.z != 1) return;
  layout = layoutFor(lattice, lattice.out, firstLayerPointBits, 1);
  bricks = bricksIn(lattice.out, layout.brick);
  sharedBytes = size_t(steps) * (size_t(firstLayerColumns) * 64 + 128) + size_t(firstLayerPoints) * 12 +
                size_t(firstLayerColumns) * 36 + (size_t(layout.units) * 2 + 15) / 16 * 16;
  possible = !wasteful(layout, lattice.out) && sharedBytes <= sharedLimit;
}

}  // namespace semgen::cuda
