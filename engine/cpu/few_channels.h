// The weight gradient of a 3x3x3 convolution that reads few channels: a network's first layer. Without
// AVX-512 oneDNN has no kernel for it: it multiplies matrices that it writes out, and wants dy in another layout.
#pragma once
#include "engine/cpu/convolution.h"

namespace semgen::cpu {

/// Whether oneDNN has no kernel for it, and x and dy are what fewChannelsWeightGradient takes, as they lie.
bool fewChannelsServe(const CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights,
                      const ConvGeometry &geometry);
/// dweights (a float32 view, overwritten) from x and dy, stride 1 and padding 1.
void fewChannelsWeightGradient(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights);

}  // namespace semgen::cpu
