// What the kernels of convolutions share: pieces of 16 bytes, swizzled rows in shared memory, products of fragments.
#pragma once
#include "cuda/conv3d/convolve.h"
#include "cuda/device.cuh"

namespace semgen::cuda {

/// Element type and arithmetic of a kernel. A row of 64 bytes holds `depth` elements, a piece of 16 bytes `piece`.
template <Arithmetic arithmetic>
struct Numbers {
  using Element = float;
  static constexpr int depth = 16, piece = 4;
};
template <>
struct Numbers<Arithmetic::bf16> {
  using Element = bf16;
  static constexpr int depth = 32, piece = 8;
};

/// Where piece `piece` (0-3) of row `row` lies in a tile of 64-byte rows. Eight neighbouring rows' pieces of one
/// number, and the pieces of two neighbouring rows, each cover all 32 banks.
SEMGEN_DEVICE int pieceAt(int row, int piece) { return row * 64 + ((piece ^ (row >> 1 & 3)) << 4); }

/// d += a b on tensor cores: fragments as ldmatrix gives them, of bfloat16 (depth 16) or float32 (depth 8).
template <Arithmetic arithmetic>
SEMGEN_DEVICE void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (arithmetic == Arithmetic::bf16)
    mma_bf16(d, a, b);
  else
    mma_tf32(d, a, b);
}

/// Rounds a fragment of float32 to tf32; nothing to do for bfloat16.
template <Arithmetic arithmetic, int count>
SEMGEN_DEVICE void rounded(uint32_t (&fragment)[count]) {
  if constexpr (arithmetic == Arithmetic::tf32)
    for (int i = 0; i < count; ++i) fragment[i] = to_tf32(__uint_as_float(fragment[i]));
}

/// A tile's matrix product on tensor cores, one 64-byte step of depth at a time. The warp's part is MT x 16 rows of A
/// by NT x 16 rows of B (columns of the product), whose packed order gives each lane 4 neighbouring channels:
/// d[i][2 q + j][2 h + e] belongs to row 16 i + 8 h + lane / 4, channel 16 q + 4 (lane % 4) + 2 j + e.
template <Arithmetic arithmetic, int MT, int NT>
SEMGEN_DEVICE void multiplyTiles(float (&d)[MT][2 * NT][4], const char *a, int aRow, const char *b, int bRow,
                                 int lane) {
#pragma unroll
  for (int step = 0; step < 2; ++step) {
    uint32_t left[MT][4];
#pragma unroll
    for (int i = 0; i < MT; ++i) {
      ldmatrix_x4(left[i], a + pieceAt(aRow + i * 16 + (lane & 15), step * 2 + (lane >> 4)));
      rounded<arithmetic>(left[i]);
    }
#pragma unroll
    for (int q = 0; q < NT; ++q) {
      uint32_t both[4];
      ldmatrix_x4(both, b + pieceAt(bRow + q * 16 + (lane >> 4) * 8 + (lane & 7), step * 2 + (lane >> 3 & 1)));
      const uint32_t first[2] = {both[0], both[1]}, second[2] = {both[2], both[3]};
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        multiply<arithmetic>(d[i][2 * q], left[i], first);
        multiply<arithmetic>(d[i][2 * q + 1], left[i], second);
      }
    }
  }
}

/// The channel whose weights lie at `row` of a packed tile for tensor cores (see multiplyTiles).
SEMGEN_DEVICE int packedChannel(int row) {
  int in = row & 15;
  return row - in + 4 * ((in & 7) >> 1) + 2 * (in >> 3) + (in & 1);
}

}  // namespace semgen::cuda
