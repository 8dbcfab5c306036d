#include "cuda/conv3d/convolve.h"

#include <algorithm>

namespace semgen::cuda {

namespace {

int stepsOf(int64_t elements, int depth) { return int((elements + depth - 1) / depth); }

/// Channels a block writes: few enough that little of a block is padding, enough that voxels are read seldom.
int columnsFor(Arithmetic arithmetic, bool flat, int channels) {
  if (channels <= 16) return 16;
  if (arithmetic == Arithmetic::fp32) return 64;
  if (channels <= 32) return 32;
  bool wide = arithmetic == Arithmetic::bf16 && !flat && (channels % 128 == 0 || channels % 128 > 64);
  return wide ? 128 : 64;
}

}  // namespace

ConvolveShape::ConvolveShape(Arithmetic arithmetic, const Lattice &lattice, WeightsView weights, ChannelPair in,
                             ChannelPair out, size_t sharedLimit)
    : arithmetic(arithmetic),
      lattice(lattice),
      weights(weights),
      inChannels{in.first, in.second},
      outChannels{out.first, out.second} {
  int depth = 64 / int(elementBytes(arithmetic));
  // A step of one tap wastes what its channels leave of 64 bytes.
  flat = in.first % depth != 0 || in.second % depth != 0;
  if (arithmetic == Arithmetic::bf16 && !flat && out.all() > 16) halo = HaloPlan(lattice, out.all(), sharedLimit);
  if (arithmetic == Arithmetic::bf16 && in.all() == 1)
    firstLayer = FirstLayerPlan(lattice, stepsOf(lattice.taps, depth), sharedLimit);
  columns = halo.possible         ? halo.columns
            : firstLayer.possible ? firstLayerColumns
                                  : columnsFor(arithmetic, flat, out.all());
  columnsPadded = (out.all() + columns - 1) / columns * columns;
  chunks[0] = stepsOf(in.first, depth);
  chunks[1] = stepsOf(in.second, depth);
  steps = 0;
  for (int c = 0; c < lattice.classes; ++c) {
    int64_t taps = lattice.cls[c].taps;
    steps +=
        flat ? stepsOf(taps * in.first, depth) + stepsOf(taps * in.second, depth) : int(taps) * (chunks[0] + chunks[1]);
  }
}

bool ConvolveShape::computesUnits() const {
  bool pointwise = arithmetic == Arithmetic::bf16 && !flat && columns == 16 && lattice.taps == 1;
  return halo.possible || (pointwise && !firstLayer.possible);
}

int64_t ConvolveShape::tiles() const {
  int64_t images = lattice.images, most = 0;
  if (halo.possible) return images * halo.bricks.x * halo.bricks.y * halo.bricks.z * lattice.classes;
  if (firstLayer.possible) return images * firstLayer.bricks.x * firstLayer.bricks.y * firstLayer.bricks.z;
  for (int c = 0; c < lattice.classes; ++c) {
    const Int3 &points = lattice.cls[c].points;
    most = std::max(most, images * points.x * points.y * points.z);
  }
  return (most + 127) / 128 * lattice.classes;
}

}  // namespace semgen::cuda
