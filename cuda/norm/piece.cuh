// 16 bytes of neighbouring channels, 8 bfloat16 or 4 float32: what a thread of the hot passes takes of a row.
#pragma once
#include "cuda/device.cuh"

namespace semgen::cuda {

template <class Element>
struct Piece {
  static constexpr int size = 16 / int(sizeof(Element));
  float value[size];

  SEMGEN_DEVICE void load(const void *from, int64_t piece) {
    uint4 words = static_cast<const uint4 *>(from)[piece];
    const uint32_t word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if constexpr (size == 8) {
        float2 pair = unpack_bf16(word[i]);
        value[2 * i] = pair.x;
        value[2 * i + 1] = pair.y;
      } else {
        value[i] = __uint_as_float(word[i]);
      }
  }
  SEMGEN_DEVICE void store(void *to, int64_t piece) const {
    uint32_t word[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if constexpr (size == 8)
        word[i] = pack_bf16(value[2 * i], value[2 * i + 1]);
      else
        word[i] = __float_as_uint(value[i]);
    static_cast<uint4 *>(to)[piece] = make_uint4(word[0], word[1], word[2], word[3]);
  }
};

template <int size>
SEMGEN_DEVICE void loadParameters(float (&to)[size], const float *from) {
#pragma unroll
  for (int i = 0; i < size; i += 4) {
    float4 four = *reinterpret_cast<const float4 *>(from + i);
    to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
  }
}

}  // namespace semgen::cuda
