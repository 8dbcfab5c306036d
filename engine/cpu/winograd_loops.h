// The loops of Winograd's convolution (winograd.h): transforms between voxels and points, and matrix products at the
// points. Everything at the points is float32, [point][channel block][row][lane], where a row is a tile of 4x4 voxels
// in y and z, one or two planes deep, and a block as many channels as a CPU's vectors hold. They are written once
// (winograd_loops.inc) and compiled for each instruction set.
#pragma once
#include <cstdint>

namespace semgen::cpu::winograd {

/// Voxels of a tile along y and z, and values of a transformed tile along each.
inline constexpr int64_t tileExtent = 4, reach = 6, points = reach * reach;
/// A tile two planes deep is transformed along x, too, into so many layers of points.
inline constexpr int64_t layers = 4;

/// Tiles of one channel block of an activation: the rows of them along z from `first` to before `last`, of plane x or,
/// of depth 2, from there on. Voxel (x, y, z) is at x * strideX + y * strideY + z * strideZ. What will be wanted next
/// is `ahead` elements on.
template <class T>
struct Tiles {
  T *values;
  int64_t extentX, extentY, extentZ, strideX, strideY, strideZ;
  int64_t x, depth, first, last, ahead;
};

/// The same at all points: tile t of point p is at p * stride + t * lanes. Layers lie one behind the other.
struct PointRows {
  float *values;
  int64_t stride;
};

/// Of the three taps of an axis those from `first` to before `last`; the others are zero. Without its first tap a
/// kernel is zero at the first point of that axis, without its last one at the last point.
struct Taps {
  int64_t first = 0, last = 3;
  int64_t count() const { return last - first; }
  bool reachPoint(int64_t point) const { return (point > 0 || first == 0) && (point < reach - 1 || last == 3); }
};

/// Kernels as they lie in memory: `floats` of each, one behind the other, `strideLane` floats from one lane's to the
/// next. Weight (kx, ky, kz) is float first + kx * strideX + ky * strideY + kz * strideZ of its kernel.
struct KernelView {
  int64_t floats, strideLane, first, strideX, strideY, strideZ;
  Taps x, y, z;
  /// Floats to kernels that will be wanted soon.
  int64_t ahead;
  int64_t at(int64_t kx, int64_t ky, int64_t kz) const { return first + kx * strideX + ky * strideY + kz * strideZ; }
  /// The most floats of a kernel: 4x4x4.
  static constexpr int64_t mostFloats = 64;
};

/// Kernels of `lanes` output channels at the points: tap kx of point p at p * stride + (kx - x.first) * strideTap; for
/// tiles two planes deep there are layers instead of taps, one behind the other. Gradients are the sum of so many
/// groups'.
struct PointKernels {
  float *values;
  int64_t stride, strideTap, depth, groups, strideGroup;
};

/// Rows of one point times the kernels of one or two blocks of output channels.
struct Product {
  /// Input: taps along x and blocks of channels, each so many floats behind the last.
  int64_t taps, tapStride, blocks, blockStride;
  /// Output: floats from one block of channels to the next.
  int64_t outputStride;
  /// Output channels, in blocks: 1 or 2.
  int64_t outputBlocks;
  /// Whether it is added to the output.
  bool add;
};

/// T is float, or uint16_t for bfloat16.
template <class T>
struct Transforms {
  /// B^T d B of each tile of 6x6 voxels, the first of them one voxel before the tile's own; of zeros outside of the
  /// image.
  void (*input)(const Tiles<const T> &from, const PointRows &to);
  /// A g A^T of each tile of 4x4 voxels of the gradient of a convolution's output.
  void (*gradient)(const Tiles<const T> &from, const PointRows &to);
  /// A^T m A of each tile, scaled back, into a convolution's output: added to what is there with `accumulate`.
  void (*output)(const PointRows &from, const Tiles<T> &to, bool accumulate);
};

struct Loops {
  /// Channels of a block.
  int64_t lanes;
  Transforms<float> float32;
  /// Null but with instructions for bfloat16.
  Transforms<uint16_t> bfloat16;
  /// G w G^T of each tap along x of `lanes` kernels. Times 24 an axis, or 2 along x, which makes G whole numbers:
  /// Transforms::output scales back.
  void (*kernels)(const float *from, const KernelView &view, const PointKernels &to);
  /// G^T u G of `lanes` kernels' gradients at the points, scaled back; points that the taps do not reach are not used.
  void (*kernelGradients)(const PointKernels &from, float *to, const KernelView &view);
  /// out[r][block] = sum over tap, c of in[r, tap, c] kernels[tap][c][block], for all rows;
  /// += with product.add.
  void (*multiply)(const Product &product, const float *in, const float *kernels, float *out, int64_t rows);
  /// kernels[c][block] = sum over rows of in[r][c] out[r][block], for the channels of one block and one tap; += with
  /// `add`.
  void (*multiplyTransposed)(const float *in, const float *out, int64_t outputStride, int64_t outputBlocks,
                             float *kernels, int64_t rows, bool add);

  template <class T>
  const Transforms<T> &transforms() const {
    if constexpr (sizeof(T) == sizeof(float))
      return float32;
    else
      return bfloat16;
  }
};

extern const Loops avx2, avx512, avx512Bf16;

}  // namespace semgen::cpu::winograd
