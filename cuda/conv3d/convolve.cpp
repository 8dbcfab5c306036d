#include "cuda/conv3d/convolve.h"

#include <algorithm>

namespace semgen::cuda {

namespace {

constexpr size_t mostPartialBytes = size_t{256} << 20;

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
                             ChannelPair out, int multiprocessors, size_t sharedLimit)
    : arithmetic(arithmetic),
      lattice(lattice),
      weights(weights),
      inChannels{in.first, in.second},
      outChannels{out.first, out.second},
      multiprocessors(multiprocessors),
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
  // Cards with less shared memory have no room for 64 columns beside a brick and its halo, but for 32.
  for (int columns : {brickColumnsFor(channels), 32})
    if (channels > 16 && choose({Way::bricks, columns})) {
      choose({Way::bricks, choice.columns, splitsFor()});
      return;
    }
  if (choose({Way::oneChannel, firstLayerColumns})) return;
  choose({Way::runs, columnsFor(arithmetic, flat, channels)});
}

bool ConvolveShape::choose(const TileChoice &wanted) {
  HaloPlan bricks;
  FirstLayerPlan oneChannel;
  // Splits of the channels read: none of them empty.
  int perTap = chunks[0] + chunks[1], each = wanted.splits > 0 ? (perTap + wanted.splits - 1) / wanted.splits : 0;
  bool splits = wanted.way == Way::bricks && each > 0 && (perTap + each - 1) / each == wanted.splits;
  if (wanted.splits != 1 && !splits) return false;
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
  ConvolveShape tried = *this;
  tried.choice = wanted;
  tried.halo = bricks;
  tried.firstLayer = oneChannel;
  tried.columnsPadded = (outChannels[0] + outChannels[1] + wanted.columns - 1) / wanted.columns * wanted.columns;
  if (tried.partialBytes() > mostPartialBytes) return false;
  *this = tried;
  return true;
}

/// As many splits as the card has room for beside each other, where the tiles fill less than half of it: the depth of
/// the product is what is left to share.
int ConvolveShape::splitsFor() const {
  int perTap = chunks[0] + chunks[1];
  int64_t room = multiprocessors / blocks();
  if (room < 2) return 1;
  int each = int((perTap + room - 1) / room);
  return (perTap + each - 1) / each;
}

size_t ConvolveShape::partialBytes() const {
  if (choice.splits == 1) return 0;
  return size_t(choice.splits) * size_t(blocks()) * size_t(halo.points) * size_t(choice.columns) * sizeof(float);
}

std::vector<TileChoice> ConvolveShape::possible() const {
  std::vector<TileChoice> found;
  for (Way way : {Way::runs, Way::bricks, Way::oneChannel})
    for (int columns : {16, 32, 64, 128}) {
      ConvolveShape tried = *this;
      if (!tried.choose({way, columns})) continue;
      int usual = way == Way::bricks ? tried.splitsFor() : 1;
      for (int splits : {1, usual / 4, usual / 2, usual, 2 * usual})
        if (tried.choose({way, columns, splits}) && (found.empty() || found.back() != tried.choice))
          found.push_back(tried.choice);
    }
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
