// Convolutions 3x3x3 of stride 1 and padding 1 with a sixth of the multiplications: Winograd's minimal filtering
// F(4x4, 3x3) in y and z and F(2, 3) along x (Winograd 1980; Lavin and Gray 2016).
//
//   y = A^T [ sum over channel of (G w G^T) * (B^T x B) ] A       * by element, at 4 x 36 points
//
// A tile of 2x4x4 outputs takes 144 multiplications a channel instead of 864, as 144 matrix products of tiles by
// channels. The data gradient is the same with mirrored kernels, the weight gradient the transpose of it:
//
//   dw = G^T [ sum over tiles of (A dy A^T) * (B^T x B) ] G
//
// Where there are few tiles, transforming kernels is most of the work: there a tile is one plane of 4x4 outputs, at 36
// points for each of the three taps along x, with a quarter of the multiplications.
//
// Transposed convolutions k4 s2 p1, too (the composed decoder's): the voxels of each parity are a convolution of the
// input with two taps an axis, that is with three of which one is zero. In tiles of one plane the points at one end of
// an axis are zero then, and 25 of 36 are left: 25 multiplications instead of 64, with one transform of the input for
// all eight parities.
//
// Sums are float32 whatever the activations are, in an order that no number of threads changes. With G in whole numbers
// and one scaling in the end, small integers give exact results. For CPUs with AVX2, in float32, and with AVX-512: at
// float32's rate this beats direct convolution in bfloat16, but for AMX.
#pragma once
#include "engine/cpu/convolution.h"

namespace semgen::cpu {

/// The geometries that can be computed so: kernels of 3x3x3, and of 4x4x4.
inline const ConvGeometry winogradSame{{1, 1, 1}, {1, 1, 1}}, winogradDoubling{{2, 2, 2}, {1, 1, 1}, true};

/// The time of a convolution between so many channels, over an input of these extents ({N, C, X, Y, Z}), as a share of
/// a direct one's: 1 where direct is faster or this is impossible. `doubling` means k4 s2 p1.
double winogradShare(Type type, int64_t inChannels, int64_t outChannels, const Dims &extents, bool doubling);
/// Whether a convolution from x to y takes less time so, and both lie, or can be laid, in blocks of channels.
bool winogradServes(const CpuCompiler &c, TensorId x, TensorId y, const Operand &weights, const ConvGeometry &geometry);
/// Lays an activation in the blocks that such convolutions take, if it has no layout yet: for what oneDNN would write
/// in another one.
void winogradLay(CpuCompiler &c, TensorId id);

/// y = conv(x, weights), or y += with `accumulate`.
void winogradForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, const ConvGeometry &geometry,
                     bool accumulate);
/// dx from dy.
void winogradDataGradient(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx,
                          const ConvGeometry &geometry);
/// dweights (a float32 view, overwritten) from x and dy.
void winogradWeightGradient(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights,
                            const ConvGeometry &geometry);

}  // namespace semgen::cpu
