#include "engine/cpu/winograd_kernels.h"

#include <immintrin.h>

// From here on: headers above stay what every machine can run.
#pragma GCC target("avx512f,avx512vl,avx512bw,fma")

namespace semgen::cpu::winograd {

namespace {

using Lanes = float __attribute__((vector_size(64)));
using Bits = uint32_t __attribute__((vector_size(64)));
using Halves = uint16_t __attribute__((vector_size(32)));
#define SEMGEN_INLINE inline __attribute__((always_inline))

SEMGEN_INLINE Lanes load(const float *from) {
  Lanes value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
SEMGEN_INLINE Lanes load(const uint16_t *from) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof halves);
  return Lanes(__builtin_convertvector(halves, Bits) << 16);
}
SEMGEN_INLINE void store(float *to, Lanes value) { __builtin_memcpy(to, &value, sizeof value); }
/// As values.h rounds: to nearest, ties to even; NaN stays NaN.
SEMGEN_INLINE void store(uint16_t *to, Lanes value) {
  Bits bits = Bits(value), rounded = bits + 0x7fff + (bits >> 16 & 1);
  Halves halves = __builtin_convertvector((value == value ? rounded : bits | 0x400000) >> 16, Halves);
  __builtin_memcpy(to, &halves, sizeof halves);
}

// The matrices of F(4, 3) at the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2016), one line at a time.

SEMGEN_INLINE void inputLine(const Lanes (&d)[6], Lanes (&v)[6]) {
  Lanes even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], even2 = d[4] - d[2], odd2 = 2 * (d[3] - d[1]);
  v[0] = 4 * d[0] - 5 * d[2] + d[4];
  v[1] = even + odd;
  v[2] = even - odd;
  v[3] = even2 + odd2;
  v[4] = even2 - odd2;
  v[5] = 4 * d[1] - 5 * d[3] + d[5];
}

SEMGEN_INLINE void gradientLine(const Lanes (&d)[4], Lanes (&v)[6]) {
  Lanes even = d[0] + d[2], odd = d[1] + d[3], even2 = d[0] + 4 * d[2], odd2 = 2 * d[1] + 8 * d[3];
  v[0] = d[0];
  v[1] = even + odd;
  v[2] = even - odd;
  v[3] = even2 + odd2;
  v[4] = even2 - odd2;
  v[5] = d[3];
}

SEMGEN_INLINE void outputLine(const Lanes (&m)[6], Lanes (&y)[4]) {
  Lanes sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  y[0] = m[0] + sum + sum2;
  y[1] = difference + 2 * difference2;
  y[2] = sum + 4 * sum2;
  y[3] = difference + 8 * difference2 + m[5];
}

/// 24 G.
SEMGEN_INLINE void kernelLine(const Lanes (&w)[3], Lanes (&u)[6]) {
  Lanes outer = -4 * (w[0] + w[2]), middle = 4 * w[1], outer2 = w[0] + 4 * w[2], middle2 = 2 * w[1];
  u[0] = 6 * w[0];
  u[1] = outer - middle;
  u[2] = outer + middle;
  u[3] = outer2 + middle2;
  u[4] = outer2 - middle2;
  u[5] = 24 * w[2];
}

/// 24 G^T.
SEMGEN_INLINE void kernelGradientLine(const Lanes (&g)[6], Lanes (&w)[3]) {
  Lanes sum = -4 * (g[1] + g[2]), sum2 = g[3] + g[4];
  w[0] = 6 * g[0] + sum + sum2;
  w[1] = 4 * (g[2] - g[1]) + 2 * (g[3] - g[4]);
  w[2] = sum + 4 * sum2 + 24 * g[5];
}

/// The factor that kernelLine leaves in, over both axes. A division, so that what is a whole number comes out as one.
constexpr float scale = 24 * 24;

/// A matrix applied to both axes of a tile: line maps From values to To.
template <int From, int To, class Line>
SEMGEN_INLINE void bothAxes(const Lanes (&in)[From][From], Lanes (&out)[To][To], Line &&line) {
  Lanes half[To][From];
  for (int j = 0; j < From; ++j) {
    Lanes column[From], result[To];
    for (int i = 0; i < From; ++i) column[i] = in[i][j];
    line(column, result);
    for (int i = 0; i < To; ++i) half[i][j] = result[i];
  }
  for (int i = 0; i < To; ++i) line(half[i], out[i]);
}

/// Reads tiles of Extent x Extent voxels, which begin `before` voxels ahead of a tile's own, and transforms them.
template <int Extent, class T, class Line>
SEMGEN_INLINE void transformTiles(const Plane<const T> &from, const PointRows &to, int64_t before, Line &&line) {
  float *row = to.values;
  for (int64_t y0 = from.first * tileExtent - before; y0 + before < from.last * tileExtent; y0 += tileExtent)
    for (int64_t z0 = -before; z0 + before < from.extentZ; z0 += tileExtent, row += lanes) {
      Lanes tile[Extent][Extent], result[reach][reach];
      bool inside = y0 >= 0 && z0 >= 0 && y0 + Extent <= from.extentY && z0 + Extent <= from.extentZ;
      for (int i = 0; i < Extent; ++i)
        for (int j = 0; j < Extent; ++j) {
          int64_t y = y0 + i, z = z0 + j;
          bool there = inside || (y >= 0 && y < from.extentY && z >= 0 && z < from.extentZ);
          tile[i][j] = there ? load(from.values + (y * from.extentZ + z) * from.stride) : Lanes{};
        }
      bothAxes(tile, result, line);
      for (int i = 0; i < reach; ++i)
        for (int j = 0; j < reach; ++j) store(row + (i * reach + j) * to.stride, result[i][j]);
    }
}

/// Kernels of `Blocks` blocks of output channels stay beside each other: [tap][channel][block][16].
template <int Rows, int Blocks>
void multiplyRows(const Product &p, const float *in, const float *kernels, float *out) {
  __m512 sums[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) sums[r][b] = _mm512_setzero_ps();
  for (int64_t tap = 0; tap < p.taps; ++tap)
    for (int64_t block = 0; block < p.blocks; ++block) {
      const float *values = in + tap * p.tapStride + block * p.blockStride;
      for (int channel = 0; channel < lanes; ++channel, kernels += Blocks * lanes) {
        __m512 weights[Blocks];
        for (int b = 0; b < Blocks; ++b) weights[b] = _mm512_loadu_ps(kernels + b * lanes);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          __m512 value = _mm512_set1_ps(values[r * lanes + channel]);
          for (int b = 0; b < Blocks; ++b) sums[r][b] = _mm512_fmadd_ps(value, weights[b], sums[r][b]);
        }
      }
    }
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) _mm512_storeu_ps(out + b * p.outputStride + r * lanes, sums[r][b]);
}

/// As many rows as fit into registers beside the weights of two blocks.
constexpr int mostRows = 14;

template <int Blocks, int Rows = mostRows>
void multiplyUpTo(int64_t rows, const Product &p, const float *in, const float *kernels, float *out) {
  if (rows == Rows) return multiplyRows<Rows, Blocks>(p, in, kernels, out);
  if constexpr (Rows > 1) multiplyUpTo<Blocks, Rows - 1>(rows, p, in, kernels, out);
}

template <int Blocks>
void multiplyTransposedBlocks(const float *in, const float *out, int64_t outputStride, float *kernels, int64_t rows,
                              bool add) {
  constexpr int channels = 8;
  for (int first = 0; first < lanes; first += channels, kernels += channels * Blocks * lanes) {
    __m512 sums[channels][Blocks];
    for (int c = 0; c < channels; ++c)
      for (int b = 0; b < Blocks; ++b) sums[c][b] = _mm512_setzero_ps();
    for (int64_t r = 0; r < rows; ++r) {
      __m512 values[Blocks];
      for (int b = 0; b < Blocks; ++b) values[b] = _mm512_loadu_ps(out + b * outputStride + r * lanes);
#pragma GCC unroll 8
      for (int c = 0; c < channels; ++c) {
        __m512 value = _mm512_set1_ps(in[r * lanes + first + c]);
        for (int b = 0; b < Blocks; ++b) sums[c][b] = _mm512_fmadd_ps(value, values[b], sums[c][b]);
      }
    }
    for (int c = 0; c < channels; ++c)
      for (int b = 0; b < Blocks; ++b) {
        float *to = kernels + (c * Blocks + b) * lanes;
        _mm512_storeu_ps(to, add ? _mm512_add_ps(_mm512_loadu_ps(to), sums[c][b]) : sums[c][b]);
      }
  }
}

}  // namespace

template <class T>
void transformInput(const Plane<const T> &from, const PointRows &to) {
  transformTiles<reach>(from, to, 1, [](auto &d, auto &v) { inputLine(d, v); });
}

template <class T>
void transformGradient(const Plane<const T> &from, const PointRows &to) {
  transformTiles<tileExtent>(from, to, 0, [](auto &d, auto &v) { gradientLine(d, v); });
}

template <class T>
void transformOutput(const PointRows &from, const Plane<T> &to, bool accumulate) {
  const float *row = from.values;
  for (int64_t y0 = to.first * tileExtent; y0 < to.last * tileExtent; y0 += tileExtent)
    for (int64_t z0 = 0; z0 < to.extentZ; z0 += tileExtent, row += lanes) {
      Lanes tile[reach][reach], result[tileExtent][tileExtent];
      for (int i = 0; i < reach; ++i)
        for (int j = 0; j < reach; ++j) tile[i][j] = load(row + (i * reach + j) * from.stride);
      bothAxes(tile, result, [](auto &m, auto &y) { outputLine(m, y); });
      for (int i = 0; i < tileExtent && y0 + i < to.extentY; ++i)
        for (int j = 0; j < tileExtent && z0 + j < to.extentZ; ++j) {
          T *voxel = to.values + ((y0 + i) * to.extentZ + z0 + j) * to.stride;
          Lanes value = result[i][j] / scale;
          store(voxel, accumulate ? value + load(voxel) : value);
        }
    }
}

void transformKernels(const float *from, const KernelView &view, float *to, int64_t stride) {
  alignas(64) float gathered[3][3][lanes];
  for (int lane = 0; lane < lanes; ++lane)
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j)
        gathered[i][j][lane] = from[lane * view.strideOut + i * view.strideY + j * view.strideZ];
  Lanes kernel[3][3], result[reach][reach];
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) kernel[i][j] = load(gathered[i][j]);
  bothAxes(kernel, result, [](auto &w, auto &u) { kernelLine(w, u); });
  for (int i = 0; i < reach; ++i)
    for (int j = 0; j < reach; ++j) store(to + (i * reach + j) * stride, result[i][j]);
}

void transformKernelGradients(const float *from, int64_t stride, float *to, const KernelView &view) {
  Lanes tile[reach][reach], result[3][3];
  for (int i = 0; i < reach; ++i)
    for (int j = 0; j < reach; ++j) tile[i][j] = load(from + (i * reach + j) * stride);
  bothAxes(tile, result, [](auto &g, auto &w) { kernelGradientLine(g, w); });
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      alignas(64) float values[lanes];
      store(values, result[i][j] / scale);
      for (int lane = 0; lane < lanes; ++lane)
        to[lane * view.strideOut + i * view.strideY + j * view.strideZ] = values[lane];
    }
}

void multiply(const Product &product, const float *in, const float *kernels, float *out, int64_t rows) {
  // Pieces of nearly the same size: 16 rows are 8 and 8, not 14 and 2.
  int64_t pieces = (rows + mostRows - 1) / mostRows;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    int64_t first = rows * piece / pieces, count = rows * (piece + 1) / pieces - first;
    if (product.outputBlocks == 2)
      multiplyUpTo<2>(count, product, in + first * lanes, kernels, out + first * lanes);
    else
      multiplyUpTo<1>(count, product, in + first * lanes, kernels, out + first * lanes);
  }
}

void multiplyTransposed(const float *in, const float *out, int64_t outputStride, int64_t outputBlocks, float *kernels,
                        int64_t rows, bool add) {
  if (outputBlocks == 2)
    multiplyTransposedBlocks<2>(in, out, outputStride, kernels, rows, add);
  else
    multiplyTransposedBlocks<1>(in, out, outputStride, kernels, rows, add);
}

template void transformInput<float>(const Plane<const float> &, const PointRows &);
template void transformInput<uint16_t>(const Plane<const uint16_t> &, const PointRows &);
template void transformGradient<float>(const Plane<const float> &, const PointRows &);
template void transformGradient<uint16_t>(const Plane<const uint16_t> &, const PointRows &);
template void transformOutput<float>(const PointRows &, const Plane<float> &, bool);
template void transformOutput<uint16_t>(const PointRows &, const Plane<uint16_t> &, bool);

}  // namespace semgen::cpu::winograd
