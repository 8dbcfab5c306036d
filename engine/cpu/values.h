// Element types and layouts as our own loops see them.
#pragma once
#include <bit>
#include <cstdint>

#include "engine/cpu/compiler.h"

namespace semgen::cpu {

/// bfloat16: the upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

inline float toFloat(float value) { return value; }
inline float toFloat(BFloat16 value) { return std::bit_cast<float>(uint32_t(value.bits) << 16); }

inline void store(float *to, float value) { *to = value; }
/// Rounds to nearest, ties to even; NaN stays NaN.
inline void store(BFloat16 *to, float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  to->bits = value == value ? uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16) : uint16_t(bits >> 16 | 0x40);
}

/// Calls body.operator()<T>() with the C++ type of an element type.
template <class Body>
void withType(Type type, Body &&body) {
  if (type == Type::f32)
    body.template operator()<float>();
  else if (type == Type::bf16)
    body.template operator()<BFloat16>();
  else
    throw Error("NATIVE", "A float32 or bfloat16 tensor was expected.");
}

/// Contiguous channels that our loops take at once: those of oneDNN's widest blocked layout.
inline constexpr int64_t mostLanes = 16;

/// An activation {N, C, X, Y, Z} (or {N, C}) in any layout that oneDNN chooses for us: channels in runs of `lanes`, at
/// most mostLanes, contiguous elements. Channel c of voxel v: n * strideN + (c / lanes) * strideBlock + v * strideVoxel
/// + c % lanes.
struct ChannelView {
  int64_t images, channels, voxels, lanes, blocks, strideN, strideBlock, strideVoxel;

  /// Where channels are innermost any run is contiguous: they are taken in runs of `widest`.
  explicit ChannelView(const Desc &desc, int64_t widest = mostLanes);
  int64_t at(int64_t n, int64_t c, int64_t v) const {
    return n * strideN + c / lanes * strideBlock + v * strideVoxel + c % lanes;
  }
  /// How many channels block b holds: the last one may hold fewer.
  int64_t lanesIn(int64_t b) const { return std::min(lanes, channels - b * lanes); }
  /// How many elements block b has: a blocked layout pads the last one.
  int64_t storedIn(int64_t b) const { return padded ? lanes : lanesIn(b); }

 private:
  bool padded;
};

}  // namespace semgen::cpu
