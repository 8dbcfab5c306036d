#include "cuda/conv3d/weight_gradient.h"

#include <algorithm>

namespace semgen::cuda {

WeightGradientShape::WeightGradientShape(Arithmetic arithmetic, const Lattice &lattice, ChannelPair gathered, int plain,
                                         WeightsView view, int multiprocessors, size_t sharedLimit)
    : arithmetic(arithmetic), lattice(lattice), gathered{gathered.first, gathered.second}, plain(plain), view(view) {
  int piece = 16 / int(elementBytes(arithmetic));
  aligned = gathered.first % piece == 0 && gathered.second % piece == 0;
  columns = arithmetic == Arithmetic::bf16 && aligned && plain > 64 ? 128 : plain > 32 ? 64 : 32;
  flat = int64_t(lattice.taps) * gathered.all();
  // At most 256 MiB of partial sums.
  int64_t fit = std::max<int64_t>(1, (int64_t{256} << 20) / (flat * plain * int64_t(sizeof(float))));

  if (arithmetic == Arithmetic::bf16 && gathered.all() == 1 && plain % 8 == 0) {
    layout = layoutFor(lattice, lattice.out, firstLayerPointBits, 1);
    bricks = bricksIn(lattice.out, layout.brick);
    sharedBytes = size_t(firstLayerPoints) * firstLayerColumns * 2 + size_t(firstLayerTaps) * firstLayerColumns * 4 +
                  size_t(layout.units) * 2;
    firstLayer = !wasteful(layout, lattice.out) && sharedBytes <= sharedLimit;
    int64_t all = int64_t(lattice.images) * bricks.x * bricks.y * bricks.z;
    // Four blocks a multiprocessor, each at least eight bricks.
    int64_t parts = std::clamp<int64_t>(std::min<int64_t>(4 * multiprocessors, all / 8), 1, all);
    bricksPerSplit = (all + parts - 1) / parts;
    if (firstLayer) splits = int((all + bricksPerSplit - 1) / bricksPerSplit);
    if (firstLayer) return;
  }
  const Int3 &step = lattice.inStep;
  bool channels = gathered.first % haloGradientChannels == 0 && gathered.second % haloGradientChannels == 0;
  if (arithmetic == Arithmetic::bf16 && channels && plain % 8 == 0 && plain > 16 && lattice.taps == 27 && step.x == 1 &&
      step.y == 1 && step.z == 1) {
    layout = layoutFor(lattice, lattice.out, haloGradientPointBits, 3);
    bricks = bricksIn(lattice.out, layout.brick);
    int64_t points = int64_t{1} << haloGradientPointBits;
    sharedBytes = size_t(haloGradientStages) * (size_t(layout.units) * 16 + size_t(points) * 128) +
                  size_t(layout.haloVoxels()) * 8;
    halo = layout.halo.x == layout.brick.x + 2 && layout.halo.y == layout.brick.y + 2 &&
           layout.halo.z == layout.brick.z + 2 && !wasteful(layout, lattice.out) && sharedBytes <= sharedLimit;
    int64_t all = int64_t(lattice.images) * bricks.x * bricks.y * bricks.z;
    int64_t tiles = gathered.all() / haloGradientChannels * ((plain + haloGradientColumns - 1) / haloGradientColumns);
    // One block a multiprocessor at a time; four waves, each part at least eight bricks.
    int64_t parts = std::clamp<int64_t>(std::min({(4 * multiprocessors + tiles - 1) / tiles, fit, all / 8}), 1, all);
    bricksPerSplit = (all + parts - 1) / parts;
    if (halo) splits = int((all + bricksPerSplit - 1) / bricksPerSplit);
    if (halo) return;
  }
  int64_t points = int64_t(lattice.images) * lattice.out.x * lattice.out.y * lattice.out.z;
  int64_t tiles = (flat + 127) / 128 * ((plain + columns - 1) / columns);
  // Two waves of two blocks a multiprocessor; parts of at least 512 points.
  int64_t wanted = (4 * multiprocessors + tiles - 1) / tiles;
  int64_t parts = std::clamp<int64_t>(std::min({wanted, fit, points / 512}), 1, 4096);
  pointsPerSplit = ((points + parts - 1) / parts + 31) / 32 * 32;
  splits = int((points + pointsPerSplit - 1) / pointsPerSplit);
}

bool WeightGradientShape::computesUnits() const {
  bool pointwise = arithmetic == Arithmetic::bf16 && aligned && columns == 32 && lattice.taps == 1 && gathered[1] == 0;
  return halo || (pointwise && !firstLayer);
}

}  // namespace semgen::cuda
