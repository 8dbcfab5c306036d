// What a convolution does with its sums: bias, the composed decoder's border terms, what is there already, rounding;
// and what normalisation, or its gradient, wants to know of what is stored.
#pragma once
#include "cuda/conv3d/convolve.h"
#include "cuda/device.cuh"
#include "cuda/norm/unit_channels.cuh"

namespace semgen::cuda {

struct Epilogue {
  void *out[2];
  int channels[2];
  bool vectors;  // four neighbouring channels, from a multiple of four, are one aligned store
  bool accumulate;
  const float *bias, *border;
  TileStatistics statistics;
  UnitSums unit;

  SEMGEN_DEVICE float term(int kind, int channel) const {
    float sum = bias ? bias[channel] : 0.0f;
    int all = channels[0] + channels[1];
    return border ? sum + border[kind * all + channel] - border[13 * all + channel] : sum;
  }

  /// Stores one value and gives it as stored; 0 outside. `voxel` is -1 where the tile reaches over the last point.
  template <class Element>
  SEMGEN_DEVICE float store(int64_t voxel, int kind, int channel, float value) const {
    if (voxel < 0 || channel >= channels[0] + channels[1]) return 0.0f;
    if (bias || border) value += term(kind, channel);
    int half = channel >= channels[0];
    Element *to = static_cast<Element *>(out[half]) + voxel * channels[half] + channel - (half ? channels[0] : 0);
    if (accumulate) value += to_float(*to);
    Element rounded = from_float<Element>(value);
    *to = rounded;
    return to_float(rounded);
  }

  /// Four neighbouring channels; `value` becomes what is stored.
  template <class Element>
  SEMGEN_DEVICE void store4(int64_t voxel, int kind, int channel, float (&value)[4]) const {
    if (!vectors) {
#pragma unroll
      for (int e = 0; e < 4; ++e) value[e] = store<Element>(voxel, kind, channel + e, value[e]);
      return;
    }
    if (voxel < 0 || channel >= channels[0] + channels[1]) {
#pragma unroll
      for (int e = 0; e < 4; ++e) value[e] = 0.0f;
      return;
    }
    if (bias || border) {
#pragma unroll
      for (int e = 0; e < 4; ++e) value[e] += term(kind, channel + e);
    }
    int half = channel >= channels[0];
    Element *to = static_cast<Element *>(out[half]) + voxel * channels[half] + channel - (half ? channels[0] : 0);
    if constexpr (sizeof(Element) == 2) {
      uint2 *words = reinterpret_cast<uint2 *>(to);
      if (accumulate) {
        uint2 old = *words;
        float2 low = unpack_bf16(old.x), high = unpack_bf16(old.y);
        value[0] += low.x, value[1] += low.y, value[2] += high.x, value[3] += high.y;
      }
      uint2 packed = make_uint2(pack_bf16(value[0], value[1]), pack_bf16(value[2], value[3]));
      *words = packed;
      float2 low = unpack_bf16(packed.x), high = unpack_bf16(packed.y);
      value[0] = low.x, value[1] = low.y, value[2] = high.x, value[3] = high.y;
    } else {
      float4 *words = reinterpret_cast<float4 *>(to);
      if (accumulate) {
        float4 old = *words;
        value[0] += old.x, value[1] += old.y, value[2] += old.z, value[3] += old.w;
      }
      *words = make_float4(value[0], value[1], value[2], value[3]);
    }
  }
};

inline Epilogue makeEpilogue(const ConvolveShape &s, const ConvolvePointers &pointers) {
  bool vectors = s.outChannels[0] % 4 == 0 && s.outChannels[1] % 4 == 0;
  return {{pointers.out[0], pointers.out[1]},
          {s.outChannels[0], s.outChannels[1]},
          vectors,
          pointers.accumulate,
          pointers.bias,
          pointers.border,
          pointers.statistics,
          pointers.unit};
}

/// The output voxel of each row of a tile, and its kind: how it touches the border, 9 kx + 3 ky + kz with 0 at the
/// first voxel of an axis, 2 at the last, 1 between. In shared memory.
template <int points>
struct EpilogueRows {
  static constexpr int bytes = points * 12;
  int64_t *voxel;
  int *kind;

  SEMGEN_DEVICE explicit EpilogueRows(char *shared)
      : voxel(reinterpret_cast<int64_t *>(shared)), kind(reinterpret_cast<int *>(shared + points * 8)) {}

  SEMGEN_DEVICE static int side(int at, int extent) { return at == 0 ? 0 : at == extent - 1 ? 2 : 1; }

  SEMGEN_DEVICE void set(int row, const Lattice &l, int64_t image, int x, int y, int z) {
    voxel[row] = ((image * l.out.x + x) * l.out.y + y) * l.out.z + z;
    kind[row] = 9 * side(x, l.out.x) + 3 * side(y, l.out.y) + side(z, l.out.z);
  }

  /// For consecutive points of a class; a barrier must follow before they are read.
  SEMGEN_DEVICE void fill(const Lattice &l, const PointClass &cls, int64_t firstPoint) {
    int row = threadIdx.x;
    if (row >= points) return;
    int64_t each = int64_t(cls.points.x) * cls.points.y * cls.points.z, point = firstPoint + row, image = point / each;
    if (image >= l.images) {
      voxel[row] = -1;
      kind[row] = 0;
      return;
    }
    int rest = int(point - image * each), z = rest % cls.points.z, xy = rest / cls.points.z;
    set(row, l, image, cls.origin.x + xy / cls.points.y * l.outStep.x, cls.origin.y + xy % cls.points.y * l.outStep.y,
        cls.origin.z + z * l.outStep.z);
  }
};

/// Stores a warp's part of a tile: see multiplyTiles for what belongs where. d becomes what is stored, 0 outside.
template <class Element, int MT, int NT, class Rows>
SEMGEN_DEVICE void storeTiles(const Epilogue &epilogue, const Rows &rows, float (&d)[MT][2 * NT][4], int firstRow,
                              int firstColumn, int lane) {
#pragma unroll
  for (int i = 0; i < MT; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      int row = firstRow + i * 16 + h * 8 + lane / 4;
      int64_t voxel = rows.voxel[row];
      int kind = rows.kind[row];
#pragma unroll
      for (int q = 0; q < NT; ++q) {
        float value[4] = {d[i][2 * q][2 * h], d[i][2 * q][2 * h + 1], d[i][2 * q + 1][2 * h],
                          d[i][2 * q + 1][2 * h + 1]};
        epilogue.template store4<Element>(voxel, kind, firstColumn + q * 16 + lane % 4 * 4, value);
#pragma unroll
        for (int e = 0; e < 4; ++e) d[i][2 * q + e / 2][2 * h + e % 2] = value[e];
      }
    }
}

/// The mean of each of a tile's columns, and the sum of squares about it, of what storeTiles stored; sums in a fixed
/// order: a thread's rows, then lanes, then warps. Barriers: all threads of the block call it. `scratch` holds
/// (warpRows + 1) * columns floats of shared memory.
template <int MT, int NT, int warpRows, int warpColumns, class Rows>
SEMGEN_DEVICE void tileStatistics(const Epilogue &epilogue, const Rows &rows, float (&d)[MT][2 * NT][4], float *scratch,
                                  int64_t tile, int firstChannel) {
  constexpr int columns = warpColumns * NT * 16, points = warpRows * MT * 16;
  int thread = threadIdx.x, lane = thread & 31, warpRow = (thread >> 5) / warpColumns,
      warpColumn = (thread >> 5) % warpColumns;
  int firstRow = warpRow * MT * 16 + lane / 4, firstColumn = warpColumn * NT * 16 + lane % 4 * 4;
  float *means = scratch + warpRows * columns;
  int count = 0;
  for (int row = lane; row < points; row += 32) count += rows.voxel[row] >= 0;
#pragma unroll
  for (int other = 1; other < 32; other *= 2) count += __shfl_xor_sync(0xffffffffu, count, other);
    // Two rounds: sums, then squares about the mean.
#pragma unroll
  for (int round = 0; round < 2; ++round) {
#pragma unroll
    for (int q = 0; q < NT; ++q)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float sum = 0, mean = round ? means[firstColumn + q * 16 + e] : 0.0f;
#pragma unroll
        for (int i = 0; i < MT; ++i)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            float value = d[i][2 * q + e / 2][2 * h + e % 2];
            if (round) value = rows.voxel[firstRow + i * 16 + h * 8] >= 0 ? (value - mean) * (value - mean) : 0.0f;
            sum += value;
          }
#pragma unroll
        for (int other = 4; other < 32; other *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, other);
        if (lane < 4) scratch[warpRow * columns + firstColumn + q * 16 + e] = sum;
      }
    __syncthreads();
    int channel = firstChannel + thread;
    if (thread < columns) {
      float sum = 0;
      for (int w = 0; w < warpRows; ++w) sum += scratch[w * columns + thread];
      if (round == 0)
        means[thread] = sum / float(count > 0 ? count : 1);
      else if (channel < epilogue.channels[0])
        epilogue.statistics.moments[tile * epilogue.channels[0] + channel] = make_float2(means[thread], sum);
    }
    __syncthreads();
  }
  if (thread == 0 && firstChannel == 0) epilogue.statistics.counts[tile] = count;
}

/// UnitSums of a tile of what storeTiles stored, in the order of tileStatistics. Barriers: all threads of the block
/// call it. `scratch` holds warpRows * columns float2 of shared memory.
template <int MT, int NT, int warpRows, int warpColumns, class Rows>
SEMGEN_DEVICE void tileUnitSums(const Epilogue &epilogue, const Rows &rows, const float (&d)[MT][2 * NT][4],
                                float2 *scratch, int64_t tile, int firstChannel) {
  constexpr int columns = warpColumns * NT * 16;
  int thread = threadIdx.x, lane = thread & 31, warpRow = (thread >> 5) / warpColumns,
      warpColumn = (thread >> 5) % warpColumns, channels = epilogue.channels[0];
  int firstRow = warpRow * MT * 16 + lane / 4, firstColumn = warpColumn * NT * 16 + lane % 4 * 4;
#pragma unroll
  for (int q = 0; q < NT; ++q) {
    int channel = firstChannel + firstColumn + q * 16;
    bool there = channel < channels;
    UnitChannels<4> unit(epilogue.unit.norm, there ? channel : 0);
    float2 sum[4] = {};
#pragma unroll
    for (int i = 0; i < MT; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        int64_t voxel = rows.voxel[firstRow + i * 16 + h * 8];
        if (voxel < 0 || !there) continue;
        uint2 word =
            *reinterpret_cast<const uint2 *>(static_cast<const bf16 *>(epilogue.unit.z) + voxel * channels + channel);
        float2 low = unpack_bf16(word.x), high = unpack_bf16(word.y);
        const float z[4] = {low.x, low.y, high.x, high.y};
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          float g = unit.kept(e, z[e], d[i][2 * q + e / 2][2 * h + e % 2]);
          sum[e].x += g;
          sum[e].y += g * unit.normalised(e, z[e]);
        }
      }
#pragma unroll
    for (int e = 0; e < 4; ++e) {
#pragma unroll
      for (int other = 4; other < 32; other *= 2) {
        sum[e].x += __shfl_xor_sync(0xffffffffu, sum[e].x, other);
        sum[e].y += __shfl_xor_sync(0xffffffffu, sum[e].y, other);
      }
      if (lane < 4) scratch[warpRow * columns + firstColumn + q * 16 + e] = sum[e];
    }
  }
  __syncthreads();
  if (thread >= columns || firstChannel + thread >= channels) return;
  float2 sum = scratch[thread];
  for (int w = 1; w < warpRows; ++w) {
    sum.x += scratch[w * columns + thread].x;
    sum.y += scratch[w * columns + thread].y;
  }
  epilogue.unit.sums[tile * channels + firstChannel + thread] = sum;
}

}  // namespace semgen::cuda
