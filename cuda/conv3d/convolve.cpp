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

/// Channels a block of bricks writes.
int brickColumnsFor(int channels) {
  return channels <= 32 ? 32 : channels % 128 == 0 || channels % 128 > 64 ? 128 : 64;
}

/// Whether convolve.cu has a kernel that runs over points so.
bool runsExist(Arithmetic arithmetic, bool flat, int columns) {
  if (columns == 16 || columns == 64) return true;
  if (columns == 32) return arithmetic != Arithmetic::fp32;
  return columns == 128 && arithmetic == Arithmetic::bf16 && !flat;
}

}  // namespace

const char *nameOf(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::bf16 ? "bf16" : arithmetic == Arithmetic::tf32 ? "tf32" : "fp32";
}

ConvolveShape::ConvolveShape(Arithmetic arithmetic, const Lattice &lattice, WeightsView weights, ChannelPair in,
                             ChannelPair out, size_t sharedLimit)
    : arithmetic(arithmetic),
      lattice(lattice),
      weights(weights),
      inChannels{in.first, in.second},
      outChannels{out.first, out.second},
      sharedLimit(sharedLimit) {
  int depth = 64 / int(elementBytes(arithmetic));
  // A step of one tap wastes what its channels leave of 64 bytes.
  flat = in.first % depth != 0 || in.second % depth != 0;
  chunks[0] = stepsOf(in.first, depth);
  chunks[1] = stepsOf(in.second, depth);
  steps = 0;
  for (int c = 0; c < lattice.classes; ++c) {
    int64_t taps = lattice.cls[c].taps;
    steps +=
        flat ? stepsOf(taps * in.first, depth) + stepsOf(taps * in.second, depth) : int(taps) * (chunks[0] + chunks[1]);
  }
  int channels = out.all();
  if (channels > 16 && choose({Way::bricks, brickColumnsFor(channels)})) return;
  if (choose({Way::oneChannel, firstLayerColumns})) return;
  choose({Way::runs, columnsFor(arithmetic, flat, channels)});
}

bool ConvolveShape::choose(const TileChoice &wanted) {
  HaloPlan bricks;
  FirstLayerPlan oneChannel;
  if (wanted.splits != 1) return false;
  if (wanted.way == Way::runs) {
    if (!runsExist(arithmetic, flat, wanted.columns)) return false;
  } else if (wanted.way == Way::bricks) {
    bool width = wanted.columns == 32 || wanted.columns == 64 || wanted.columns == 128;
    if (arithmetic != Arithmetic::bf16 || flat || !width) return false;
    bricks = HaloPlan(lattice, wanted.columns, sharedLimit);
    if (!bricks.possible) return false;
  } else {
    if (arithmetic != Arithmetic::bf16 || inChannels[0] + inChannels[1] != 1 || wanted.columns != firstLayerColumns)
      return false;
    oneChannel = FirstLayerPlan(lattice, stepsOf(lattice.taps, 64 / int(elementBytes(arithmetic))), sharedLimit);
    if (!oneChannel.possible) return false;
  }
  choice = wanted;
  halo = bricks;
  firstLayer = oneChannel;
  columnsPadded = (outChannels[0] + outChannels[1] + choice.columns - 1) / choice.columns * choice.columns;
  return true;
}

std::vector<TileChoice> ConvolveShape::possible() const {
  std::vector<TileChoice> found;
  for (Way way : {Way::runs, Way::bricks, Way::oneChannel})
    for (int columns : {16, 32, 64, 128})
      if (ConvolveShape(*this).choose({way, columns})) found.push_back({way, columns});
  return found;
}

std::string ConvolveShape::key() const {
  return std::string(nameOf(arithmetic)) + " convolution " + inWords(lattice, inChannels, outChannels);
}

bool ConvolveShape::computesUnits() const {
  bool pointwise = arithmetic == Arithmetic::bf16 && !flat && choice.columns == 16 && lattice.taps == 1;
  return choice.way == Way::bricks || (choice.way == Way::runs && pointwise);
}

bool ConvolveShape::takesUnitSums() const {
  return choice.way == Way::bricks && lattice.classes == 1 && outChannels[1] == 0 && outChannels[0] % 4 == 0;
}

int64_t ConvolveShape::tiles() const {
  int64_t images = lattice.images, most = 0;
  if (choice.way == Way::bricks) return images * halo.bricks.x * halo.bricks.y * halo.bricks.z * lattice.classes;
  if (choice.way == Way::oneChannel) return images * firstLayer.bricks.x * firstLayer.bricks.y * firstLayer.bricks.z;
  for (int c = 0; c < lattice.classes; ++c) {
    const Int3 &points = lattice.cls[c].points;
    most = std::max(most, images * points.x * points.y * points.z);
  }
  return (most + 127) / 128 * lattice.classes;
}

}  // namespace semgen::cuda
