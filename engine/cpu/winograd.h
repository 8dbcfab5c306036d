// Convolutions 3x3x3 of stride 1 and padding 1 with a quarter of the multiplications: Winograd's minimal filtering
// F(4x4, 3x3) in y and z (Winograd 1980; Lavin and Gray 2016), the three taps along x as they are.
//
//   y = A^T [ sum over tap, channel of (G w G^T) * (B^T x B) ] A       * by element, at 36 points
//
// A tile of 4x4 outputs takes 36 multiplications a tap and channel instead of 144, as 36 matrix products of tiles by
// channels. The data gradient is the same with mirrored kernels, the weight gradient the transpose of it:
//
//   dw = G^T [ sum over tiles of (A dy A^T) * (B^T x B) ] G
//
// Sums are float32 whatever the activations are, in an order that no number of threads changes. With G in whole numbers
// and one division in the end, small integers give exact results. For CPUs with AVX-512: at float32's rate this beats
// direct convolution in bfloat16, but for AMX.
#pragma once
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

/// The time of a convolution between so many channels, over images of these extents ({N, C, X, Y, Z}), as a share of a
/// direct one's: 1 where direct is faster or this is impossible.
double winogradShare(Type type, int64_t inChannels, int64_t outChannels, const Dims &extents);
/// Whether a convolution takes less time so, and its input and output lie, or can be laid, in blocks of channels.
bool winogradServes(const CpuCompiler &c, TensorId in, TensorId out, const Operand &weights, const Dims &stride,
                    const Dims &padding);

/// y = conv(x, weights), or y += with `accumulate`.
void winogradForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, bool accumulate);
/// dx from dy.
void winogradDataGradient(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx);
/// dweights (a float32 view, overwritten) from x and dy.
void winogradWeightGradient(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights);

}  // namespace semgen::cpu
