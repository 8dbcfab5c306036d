// Batch normalisation + ReLU on oneDNN, with the conv unit's bias folded into the statistics.
#pragma once
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

struct NormParameters {
  bool batchStatistics;
  float epsilon;
};

NormParameters normParameters(const Operation &operation);

/// y = relu(norm(z + shift)), where z misses a per-channel shift: batch statistics cancel it, so it is never added.
/// `shifts` names dense float32 [C] tensors whose sum is the shift. Writes the operation's y, mean, variance, mask and,
/// with update, moves running_mean and running_variance.
void normForward(CpuCompiler &c, const Operation &operation, const std::vector<TensorId> &shifts);

/// Overwrites dy (or uses scratch where dy is persistent) with dz; writes dgamma and dbeta. Returns dz.
TensorId normBackward(CpuCompiler &c, const Operation &operation);

}  // namespace semgen::cpu
