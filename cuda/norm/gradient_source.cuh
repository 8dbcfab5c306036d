// Where the gradient of a conv unit's output comes from, as a thread sees it that walks down some channels. Each gives
// the bits that would have been written.
#pragma once
#include "cuda/norm/piece.cuh"
#include "cuda/norm/vectors.h"

namespace semgen::cuda {

/// It lies in memory.
template <class Element>
struct WrittenGradient {
  const void *dy;
  int pieces, piece;

  SEMGEN_DEVICE WrittenGradient(const GradientSource &source, int pieces, int piece)
      : dy(source.dy), pieces(pieces), piece(piece) {}
  SEMGEN_DEVICE Piece<Element> at(int64_t row) const {
    Piece<Element> found;
    found.load(dy, row * pieces + piece);
    return found;
  }
};

/// One gradient lies in memory; that of a 2x2x2 pooling, beside it, is its output's where the mask says so.
struct PooledGradient {
  GradientSource source;
  int pieces, piece;

  SEMGEN_DEVICE PooledGradient(const GradientSource &source, int pieces, int piece)
      : source(source), pieces(pieces), piece(piece) {}
  SEMGEN_DEVICE Piece<bf16> at(int64_t row) const {
    // Extents are even: half the row's number, over half an extent, leaves half the coordinate.
    uint32_t pair = uint32_t(row) >> 1, line = pair / source.half[2], z = pair - line * source.half[2];
    uint32_t plane = (line >> 1) / source.half[1], y = (line >> 1) - plane * source.half[1];
    uint32_t place = (plane & 1) << 2 | (line & 1) << 1 | (uint32_t(row) & 1);
    int64_t window = ((int64_t(plane >> 1) * source.half[1] + y) * source.half[2] + z) * pieces + piece;
    uint4 other = static_cast<const uint4 *>(source.dy)[row * pieces + piece];
    uint4 places = static_cast<const uint4 *>(source.mask)[window];
    uint4 pooled = static_cast<const uint4 *>(source.pooled)[window];
    const uint32_t mask[4] = {places.x, places.y, places.z, places.w};
    const uint32_t word[4] = {other.x, other.y, other.z, other.w}, add[4] = {pooled.x, pooled.y, pooled.z, pooled.w};
    Piece<bf16> found;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float2 sum = unpack_bf16(word[i]), one = unpack_bf16(add[i]);
      if ((mask[i] & 0xffff) == place) sum.x += one.x;
      if (mask[i] >> 16 == place) sum.y += one.y;
      sum = unpack_bf16(pack_bf16(sum.x, sum.y));
      found.value[2 * i] = sum.x;
      found.value[2 * i + 1] = sum.y;
    }
    return found;
  }
};

/// A 1x1x1 convolution took the unit's output to one channel: the gradient is that channel's times a weight.
struct ProductGradient {
  const bf16 *dy;
  float weight[8];

  SEMGEN_DEVICE ProductGradient(const GradientSource &source, int, int piece)
      : dy(static_cast<const bf16 *>(source.dy)) {
    loadParameters(weight, source.weights + piece * 8);
#pragma unroll
    for (int i = 0; i < 8; ++i) weight[i] = to_float(float2bf16(weight[i]));
  }
  SEMGEN_DEVICE Piece<bf16> at(int64_t row) const {
    float gradient = to_float(dy[row]);
    Piece<bf16> found;
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
      float2 both = unpack_bf16(pack_bf16(gradient * weight[i], gradient * weight[i + 1]));
      found.value[i] = both.x;
      found.value[i + 1] = both.y;
    }
    return found;
  }
};

}  // namespace semgen::cuda
