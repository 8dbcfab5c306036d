// The transposed convolution k2 s2 p0 in two steps: each voxel times all of its kernel, as a 1x1x1 convolution to eight
// channels for one, and these to the eight voxels that they are. Both keep activations in blocks of channels.
// Without AVX-512 oneDNN has no kernel for the whole, and multiplies plain matrices.
#pragma once
#include "engine/cpu/convolution.h"

namespace semgen::cpu {

inline const ConvGeometry doubling{{2, 2, 2}, {0, 0, 0}, true};

/// Whether oneDNN has no kernel for it, and doublingForward takes these weights.
bool doublingServes(const Operand &weights, const ConvGeometry &geometry);
/// y (overwritten) from x. Weights {out, in, 2, 2, 2}, dense as {in, out, 2, 2, 2}.
void doublingForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y);

}  // namespace semgen::cpu
