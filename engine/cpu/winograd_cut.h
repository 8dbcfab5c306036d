// What Winograd's convolution (winograd.h) works on, and how it is cut into parts that stay in a cache.
#pragma once
#include <algorithm>
#include <bit>

#include "engine/cpu/values.h"
#include "engine/cpu/winograd_loops.h"

namespace semgen::cpu::winograd {

/// Every second voxel of each axis, from voxel 0 or 1 on: one of eight parts of an activation of twice the extents.
struct Parity {
  int64_t x, y, z;
  static constexpr int64_t count = 8;
  static Parity at(int64_t i) { return {i >> 2 & 1, i >> 1 & 1, i & 1}; }
};

/// Some images, planes of tiles of them, and rows of tiles of these.
struct Part {
  int64_t image, images, plane, planes, tileRow, tileRows;
};

/// Some blocks of channels, from `first` to before `last`.
struct Blocks {
  int64_t first, last;
  int64_t count() const { return last - first; }
};

/// An activation as the transforms see it, or the voxels of one parity.
struct Activation {
  TensorId id;
  ChannelView view;
  int64_t x, y, z;  // extents
  int64_t offset = 0, strideX, strideY, strideZ;

  Activation(const Operand &operand, const Loops &loops) : id(operand.id), view(operand.desc, loops.lanes) {
    Dims extents = operand.desc.dims();
    x = extents[2], y = extents[3], z = extents[4];
    strideZ = view.strideVoxel, strideY = z * strideZ, strideX = y * strideY;
  }
  Activation of(const Parity &parity) const {
    Activation half = *this;
    half.offset = parity.x * strideX + parity.y * strideY + parity.z * strideZ;
    half.x /= 2, half.y /= 2, half.z /= 2;
    half.strideX *= 2, half.strideY *= 2, half.strideZ *= 2;
    return half;
  }
  /// Plane p of tiles, of this depth, of block `block` of image n of a part; next comes the following one of `blocks`,
  /// or the next plane's first.
  template <class T>
  Tiles<T> tiles(T *data, const Part &part, int64_t n, int64_t p, int64_t depth, int64_t block,
                 const Blocks &blocks) const {
    T *values = data + offset + (part.image + n) * view.strideN + block * view.strideBlock;
    int64_t ahead = depth * strideX - (blocks.count() - 1) * view.strideBlock;
    return {values,
            x,
            y,
            z,
            strideX,
            strideY,
            strideZ,
            p * depth,
            depth,
            part.tileRow,
            part.tileRow + part.tileRows,
            block + 1 < blocks.last ? view.strideBlock : ahead};
  }
};

/// Kernels (out, in, x, y, z) of three taps an axis, of which some may be missing. Those of an output and an input
/// channel lie together; these channels' strides, in floats, may be any.
struct Kernels {
  TensorId id;
  int64_t offset, out, in;
  KernelView view;

  explicit Kernels(const Operand &weights) : id(weights.id) {
    const auto &md = weights.desc.data;
    const auto &s = md.format_desc.blocking.strides;
    offset = md.offset0, out = s[0], in = s[1];
    view = {md.dims[2] * s[2], out, 0, s[2], s[3], s[4], {}, {}, {}, 2 * in};
  }
  /// What carries a gradient back through the convolution: taps mirrored, input and output exchanged.
  Kernels mirrored() const {
    Kernels k = *this;
    KernelView &v = k.view;
    v.first = view.at(2, 2, 2), v.strideX *= -1, v.strideY *= -1, v.strideZ *= -1;
    for (Taps *taps : {&v.x, &v.y, &v.z}) *taps = {3 - taps->last, 3 - taps->first};
    std::swap(k.out, k.in);
    v.strideLane = k.out, v.ahead = 2 * k.in;
    return k;
  }
  /// Of a transposed convolution k4 s2 p1, what makes the output of one parity out of the input: two taps an axis. Even
  /// voxels take weight 3 of the voxel before and weight 1 of their own, odd ones weight 2 of their own and weight 0 of
  /// the one behind.
  Kernels of(const Parity &parity) const {
    Kernels k = *this;
    auto axis = [&k](int64_t odd, int64_t &stride, Taps &taps) {
      k.view.first += (3 + odd) * stride;
      stride *= -2;
      taps = {odd, odd + 2};
    };
    axis(parity.x, k.view.strideX, k.view.x), axis(parity.y, k.view.strideY, k.view.y);
    axis(parity.z, k.view.strideZ, k.view.z);
    return k;
  }
  int64_t at(int64_t o, int64_t i) const { return offset + o * out + i * in; }
  bool reachPoint(int64_t point) const { return view.y.reachPoint(point / reach) && view.z.reachPoint(point % reach); }
};

inline int64_t parts(int64_t all, int64_t part) { return (all + part - 1) / part; }

/// What a thread works on by itself: nothing, the phases of a convolution are shared out one after the other; parts of
/// the rows, with the kernels transformed beforehand; groups of parts, with kernel gradients of their own; or, over the
/// few rows of a deep layer, pairs of output blocks.
enum class Own { nothing, parts, groups, pairs };

/// What a cut is for: a convolution or a weight gradient with all 27 taps; of a doubling, with some of them, a
/// convolution, all convolutions of one input, or their weight gradients.
enum class Work { convolution, weightGradient, someTaps, someTapsOfOneInput, someTapsGradients };

/// How a convolution is cut into parts, so that what is transformed stays in a cache until it is used: rows by images,
/// planes and rows of tiles; kernels by blocks of output channels, and of input channels. What is added up in which
/// order depends on extents and channels alone.
struct Cut {
  /// What is to stay in a core's own cache, and in the cache that cores share, while it is worked on.
  static constexpr int64_t ownBytes = 3 << 18, sharedBytes = 10 << 20;
  /// Of a group, in the share that a core has of the second. More at a time adds up fewer kernel gradients in memory.
  static constexpr int64_t groupBytes = 9 << 19, mostGroups = 8;
  /// Blocks of input channels at a time of few tiles two planes deep, whose outputs outgrow a core's own cache.
  static constexpr int64_t fewBlocks = 4;

  int64_t lanes;
  int64_t depth = 1;                         // planes of a tile
  int64_t images, planes, tileRows, tilesZ;  // all, of tiles
  int64_t inBlocks, outBlocks;
  Part part{};  // the extents of the largest
  int64_t inBlocksAtATime, outBlocksAtATime;
  int64_t groups = 1;  // of parts, whose kernel gradients are summed apart, and then in order
  Own own = Own::nothing;

  Cut(const Activation &in, int64_t lanes, int64_t outBlocks, Work work, int64_t threads)
      : lanes(lanes),
        images(in.view.images),
        planes(in.x),
        tileRows(parts(in.y, tileExtent)),
        tilesZ(parts(in.z, tileExtent)),
        inBlocks(in.view.blocks),
        outBlocks(outBlocks),
        inBlocksAtATime(inBlocks) {
    part = {0, images, 0, planes, 0, tileRows};
    int64_t pairBytes = 2 * pointBytes() * outputTiles();
    bool few = pairBytes <= ownBytes && inBlocks * pointBytes() * inputTiles() <= sharedBytes;
    if (work == Work::convolution || work == Work::weightGradient) depth = depthOf(in.x, outputTiles());
    planes = part.planes = parts(in.x, depth);
    if (few) {
      int64_t most = depth == 1 ? (ownBytes - pairBytes) / (2 * kernelBytes()) : fewBlocks;
      inBlocksAtATime = std::clamp<int64_t>(most, 1, inBlocks);
      setOutBlocks();
      own = parts(outBlocks, 2) >= threads ? Own::pairs : Own::nothing;
      if (own == Own::pairs) outBlocksAtATime = std::min<int64_t>(2, outBlocks);
      return;
    }
    setOutBlocks();
    int64_t atOnce = 2 * sharedBytes;
    bool allBlocks = outBlocksAtATime == outBlocks;
    if (allBlocks && (work == Work::convolution || work == Work::someTaps))
      own = Own::parts, atOnce = depth == 2 ? 2 * ownBytes : ownBytes;
    if (allBlocks && work == Work::weightGradient) {
      auto most = uint64_t(std::max<int64_t>(1, 2 * sharedBytes / (kernelBytes() * inBlocks * outBlocks)));
      groups = std::min(mostGroups, int64_t(std::bit_floor(most)));
      if (groups > 1) atOnce = groupBytes;
    }
    int64_t tileBytes = pointBytes() * (inBlocks + outBlocksAtATime);
    int64_t rows = std::max<int64_t>(1, atOnce / (tileBytes * tilesZ));
    // Tiles of one plane have two planes more of input than of output: long along x rather than along y. And all of
    // about one size.
    auto even = [](int64_t all, int64_t most) { return parts(all, parts(all, std::clamp<int64_t>(most, 1, all))); };
    part.tileRows = even(tileRows, rows / (std::min<int64_t>(planes, 6) + morePlanes()));
    part.planes = even(planes, rows / part.tileRows - morePlanes());
    bool whole = part.tileRows == tileRows && part.planes == planes;
    part.images = whole ? std::clamp<int64_t>(rows / (tileRows * (planes + morePlanes())), 1, images) : 1;
    groups = std::min(groups, count());
    // Where an eighth of the threads' time would go by without a group to work on, they share each.
    if (groups > 1 && 8 * groups >= 7 * threads * parts(groups, threads)) own = Own::groups;
  }
  /// The depth of tiles: two planes, with 4 layers instead of 6 taps, where tiles of one plane are enough to make up
  /// for more kernels to transform.
  static int64_t depthOf(int64_t planes, int64_t tiles) {
    return tiles >= 64 && layers * parts(planes, 2) < 3 * planes ? 2 : 1;
  }

  /// Values of a transformed tile.
  int64_t reached() const { return depth == 1 ? points : layers * points; }
  /// Taps along x that products sum over, and the planes of tiles of input that they take more than there are of
  /// output.
  int64_t taps() const { return depth == 1 ? 3 : 1; }
  int64_t morePlanes() const { return taps() - 1; }
  /// Those of some kernels; of tiles two planes deep it is their layers that take the place of taps.
  Taps tapsOf(const Kernels &kernels) const { return depth == 1 ? kernels.view.x : Taps{0, 1}; }
  int64_t count() const {
    return parts(images, part.images) * parts(planes, part.planes) * parts(tileRows, part.tileRows);
  }
  /// The first part of a group, or the end of the one before.
  int64_t firstOf(int64_t group) const { return group * count() / groups; }
  /// Part i of count().
  Part at(int64_t i) const {
    Part p{};
    int64_t alongY = parts(tileRows, part.tileRows), alongX = parts(planes, part.planes);
    p.tileRow = i % alongY * part.tileRows, p.tileRows = std::min(part.tileRows, tileRows - p.tileRow);
    p.plane = i / alongY % alongX * part.planes, p.planes = std::min(part.planes, planes - p.plane);
    p.image = i / alongY / alongX * part.images, p.images = std::min(part.images, images - p.image);
    return p;
  }
  /// Tiles of a part's input and of its output.
  int64_t inputTiles() const { return part.images * (part.planes + morePlanes()) * part.tileRows * tilesZ; }
  int64_t outputTiles() const { return part.images * part.planes * part.tileRows * tilesZ; }
  /// Floats of one point, with a gap behind its rows: keeps the points of a tile, which are written together, out of
  /// the same cache sets.
  int64_t inputStride() const { return inBlocks * inputTiles() * lanes + pointGap; }
  int64_t outputStride() const { return outBlocksAtATime * outputTiles() * lanes + pointGap; }
  int64_t kernelStride() const { return kernelFloats(outBlocksAtATime) + pointGap; }
  /// Floats of the kernels of so many blocks of output channels, and those of input channels at a time, at one point.
  int64_t kernelFloats(int64_t blocks) const { return blocks * taps() * inBlocksAtATime * lanes * lanes; }

  /// body(blocks) for all blocks of input channels, so many at a time.
  template <class Body>
  void forInBlocks(Body &&body) const {
    for (int64_t first = 0; first < inBlocks; first += inBlocksAtATime)
      body(Blocks{first, std::min(inBlocks, first + inBlocksAtATime)});
  }

 private:
  static constexpr int64_t pointGap = 80;
  /// Bytes at the points of a tile, and of the kernels between two blocks.
  int64_t pointBytes() const { return reached() * lanes * int64_t(sizeof(float)); }
  int64_t kernelBytes() const { return taps() * lanes * pointBytes(); }
  /// As many blocks of output channels as have kernels that stay in the shared cache: whole pairs, as products take
  /// them.
  void setOutBlocks() {
    outBlocksAtATime = std::min(outBlocks, std::max<int64_t>(1, sharedBytes / (kernelBytes() * inBlocks) / 2) * 2);
  }
};

}  // namespace semgen::cpu::winograd
