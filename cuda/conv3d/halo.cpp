#include "cuda/conv3d/halo.h"

#include <algorithm>

namespace semgen::cuda {

namespace {

constexpr int weightStages = 4;

int64_t volume(Int3 of) { return int64_t(of.x) * of.y * of.z; }

/// Whether any 8 points in order lie in different banks.
bool withoutConflicts(const HaloLayout &l) {
  int all = int(volume(l.brick));
  for (int first = 0; first < all; first += 8) {
    unsigned banks = 0;
    for (int point = first; point < first + 8; ++point) {
      int z = point & (l.brick.z - 1), y = point >> l.bits.z & (l.brick.y - 1), x = point >> (l.bits.z + l.bits.y);
      banks |= 1u << ((x * l.plane + y * l.line + z * l.voxel) & 7);
    }
    if (banks != 0xff) return false;
  }
  return true;
}

/// The least padding of lines and planes that keeps ldmatrix free of conflicts.
void pad(HaloLayout &l) {
  for (int extra = 0; extra < 8; ++extra)
    for (int more = 0; more < 8; ++more) {
      l.line = l.halo.z * l.voxel + extra;
      l.plane = l.halo.y * l.line + more;
      l.units = l.halo.x * l.plane;
      if (withoutConflicts(l)) return;
    }
}

}  // namespace

Int3 bricksIn(Int3 extents, Int3 brick) {
  return {(extents.x + brick.x - 1) / brick.x, (extents.y + brick.y - 1) / brick.y,
          (extents.z + brick.z - 1) / brick.z};
}

bool wasteful(const HaloLayout &layout, Int3 points) {
  return volume(bricksIn(points, layout.brick)) * volume(layout.brick) > 2 * volume(points);
}

HaloLayout layoutFor(const Lattice &lattice, Int3 points, int pointBits, int voxelUnits) {
  Int3 low{127, 127, 127}, high{-128, -128, -128};
  for (int t = 0; t < lattice.taps; ++t) {
    low = {std::min<int>(low.x, lattice.x[t]), std::min<int>(low.y, lattice.y[t]), std::min<int>(low.z, lattice.z[t])};
    high = {std::max<int>(high.x, lattice.x[t]), std::max<int>(high.y, lattice.y[t]),
            std::max<int>(high.z, lattice.z[t])};
  }
  HaloLayout best{};
  int64_t bestCost = 0;
  for (int zBits = 0; zBits <= pointBits; ++zBits)
    for (int yBits = 0; zBits + yBits <= pointBits; ++yBits) {
      HaloLayout l{};
      l.voxel = voxelUnits;
      l.bits = {pointBits - zBits - yBits, yBits, zBits};
      l.brick = {1 << l.bits.x, 1 << yBits, 1 << zBits};
      l.low = low;
      l.halo = {(l.brick.x - 1) * lattice.inStep.x + high.x - low.x + 1,
                (l.brick.y - 1) * lattice.inStep.y + high.y - low.y + 1,
                (l.brick.z - 1) * lattice.inStep.z + high.z - low.z + 1};
      int64_t cost = volume(bricksIn(points, l.brick)) * (int64_t{1} << 20) + volume(l.halo);
      if (bestCost && cost >= bestCost) continue;
      bestCost = cost;
      best = l;
    }
  if (voxelUnits > 1) {
    pad(best);
  } else {
    best.line = best.halo.z;
    best.plane = best.halo.y * best.line;
    best.units = best.halo.x * best.plane;
  }
  return best;
}

HaloPlan::HaloPlan(const Lattice &lattice, int columns, size_t sharedLimit) : columns(columns) {
  Int3 most{0, 0, 0};
  if (lattice.inStep.x != 1 || lattice.inStep.y != 1 || lattice.inStep.z != 1) return;
  for (int i = 0; i < lattice.classes; ++i) {
    // The next halo is loaded within a class's taps.
    if (lattice.cls[i].taps < 8) return;
    const Int3 &p = lattice.cls[i].points;
    most = {std::max(most.x, p.x), std::max(most.y, p.y), std::max(most.z, p.z)};
  }
  points = columns == 128 ? 256 : 512;
  layout = layoutFor(lattice, most, columns == 128 ? 8 : 9, 5);
  bricks = bricksIn(most, layout.brick);
  for (int t = 0; t < lattice.taps; ++t)
    tapUnits[t] = (lattice.x[t] - layout.low.x) * layout.plane + (lattice.y[t] - layout.low.y) * layout.line +
                  (lattice.z[t] - layout.low.z) * layout.voxel;
  size_t table = size_t(layout.haloVoxels()) * 8, weights = size_t(weightStages) * size_t(columns) * 64;
  auto bytes = [&](int buffers) { return size_t(layout.units) * 16 * size_t(buffers) + weights + table; };
  buffers = bytes(2) <= sharedLimit ? 2 : 1;
  sharedBytes = bytes(buffers);
  possible = !wasteful(layout, most) && sharedBytes <= sharedLimit;
}

}  // namespace semgen::cuda
