// What batch normalisation and ReLU do to a channel, in one place, so that all who compute it agree on which values
// ReLU keeps: y = relu(z * scale + shift) with scale = gamma * rstd and shift = beta - mean * scale.
#pragma once
#include "cuda/device.cuh"

namespace semgen::cuda {

SEMGEN_DEVICE float2 unitAffine(float gamma, float beta, float mean, float rstd) {
  float scale = gamma * rstd;
  return make_float2(scale, __fmaf_rn(-mean, scale, beta));
}

SEMGEN_DEVICE float beforeRelu(float2 affine, float z) { return __fmaf_rn(z, affine.x, affine.y); }

SEMGEN_DEVICE float relu(float value) { return value > 0 ? value : 0.0f; }

/// Where a channel's affine lies in a table, which has room for a multiple of 16: channels go by pairs, and those of
/// two pieces of eight channels alternate, so that lanes with neighbouring pieces read whole sectors.
SEMGEN_DEVICE int affinePlace(int channel) {
  return (channel & ~15) + (channel & 6) * 2 + (channel >> 3 & 1) * 2 + (channel & 1);
}

/// y of a piece, eight channels of bfloat16, from z and the table of affines, which is aligned to 16 bytes.
SEMGEN_DEVICE uint4 normalisedPiece(uint4 z, const float2 *table, int pieceIndex) {
  const float4 *pairs = reinterpret_cast<const float4 *>(table + affinePlace(pieceIndex * 8));
  uint32_t word[4] = {z.x, z.y, z.z, z.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float4 pair = pairs[2 * i];
    float2 both = unpack_bf16(word[i]);
    word[i] = pack_bf16(relu(beforeRelu(make_float2(pair.x, pair.y), both.x)),
                        relu(beforeRelu(make_float2(pair.z, pair.w), both.y)));
  }
  return make_uint4(word[0], word[1], word[2], word[3]);
}

}  // namespace semgen::cuda
