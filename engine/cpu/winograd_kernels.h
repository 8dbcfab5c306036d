// The loops of Winograd's convolution (winograd.h), for CPUs with AVX-512: transforms between voxels and points, and
// matrix products at the points. Everything at the points is float32, [point][channel block][row][16 channels], where a
// row is a tile of 4x4 voxels in y and z.
#pragma once
#include <cstdint>

namespace semgen::cpu::winograd {

/// Voxels of a tile along y and z, values of a transformed tile along each, channels of a block.
inline constexpr int64_t tileExtent = 4, reach = 6, points = reach * reach, lanes = 16;

/// One x-plane of one channel block of an activation: voxel (y, z) is at (y * extentZ + z) * stride. Of its rows of
/// tiles along z those from `first` to before `last` are meant.
template <class T>
struct Plane {
  T *values;
  int64_t extentY, extentZ, stride, first, last;
};

/// These tiles at all points: tile t of point p is at p * stride + t * lanes.
struct PointRows {
  float *values;
  int64_t stride;
};

/// B^T d B of each tile of 6x6 voxels, the first of them one voxel before the tile's own; T is float, or uint16_t for
/// bfloat16.
template <class T>
void transformInput(const Plane<const T> &from, const PointRows &to);
/// A g A^T of each tile of 4x4 voxels of the gradient of a convolution's output.
template <class T>
void transformGradient(const Plane<const T> &from, const PointRows &to);
/// A^T m A of each tile, scaled back, into a convolution's output: added to what is there with `accumulate`.
template <class T>
void transformOutput(const PointRows &from, const Plane<T> &to, bool accumulate);

/// G w G^T of 16 kernels of 3x3: weight (ky, kz) of kernel `lane` is at lane * strideOut + ky * strideY + kz * strideZ.
/// Times 24 an axis, which makes G whole numbers: transformOutput divides. Point p of all lanes goes to p * stride.
struct KernelView {
  int64_t strideOut, strideY, strideZ;
};
void transformKernels(const float *from, const KernelView &view, float *to, int64_t stride);
/// G^T u G of 16 kernels' gradients at the points, scaled back.
void transformKernelGradients(const float *from, int64_t stride, float *to, const KernelView &view);

/// Rows of one point times the kernels of one or two blocks of output channels.
struct Product {
  /// Input: taps along x and blocks of channels, each so many floats behind the last.
  int64_t taps, tapStride, blocks, blockStride;
  /// Output: floats from one block of channels to the next.
  int64_t outputStride;
  /// Output channels, in blocks: 1 or 2.
  int64_t outputBlocks;
};
/// out[r][block] = sum over tap, c of in[r, tap, c] kernels[tap][c][block], for all rows.
void multiply(const Product &product, const float *in, const float *kernels, float *out, int64_t rows);
/// kernels[c][block] = sum over rows of in[r][c] out[r][block], for the 16 channels of one block and one tap; += with
/// `add`.
void multiplyTransposed(const float *in, const float *out, int64_t outputStride, int64_t outputBlocks, float *kernels,
                        int64_t rows, bool add);

}  // namespace semgen::cpu::winograd
