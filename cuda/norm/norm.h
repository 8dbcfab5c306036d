// Batch normalisation + ReLU over channels, with the conv unit's bias folded into the statistics.
#pragma once
#include "cuda/compiler.h"
#include "cuda/norm/vectors.h"

namespace semgen::cuda {

struct NormParameters {
  bool batchStatistics;
  float epsilon;
};

/// Throws Error NATIVE for other statistics than "batch" and "running".
NormParameters normParameters(const Operation &operation);

/// y = relu(norm(z + shift)), where z misses a per-channel shift: batch statistics cancel it, so it is never added.
/// `shifts` names float32 [C] tensors whose sum is the shift. Writes the operation's y, mean, variance and, with
/// update, moves running_mean and running_variance. With batch statistics and `statisticsKnown`, mean and variance (of
/// z, biased) are there already, written by the convolution. The opaque mask stays empty: the gradient asks z again.
void normForward(CudaCompiler &c, const Operation &operation, const std::vector<TensorId> &shifts,
                 bool statisticsKnown = false);

/// Whether the gradient of one conv unit is all that reads this gradient of its output, and can compute it from what
/// it comes from: bfloat16, in the passes of vectors.h. Then it may be left unwritten.
bool unitsGradientAlone(CudaCompiler &c, TensorId dy);
/// That unit's gradient, if its z is known already; else null.
const Operation *gradientOfKnownUnit(CudaCompiler &c, TensorId dy);
NormChannels normChannels(const CudaCompiler &c, const Operation &operation, float epsilon);

/// Writes dgamma and dbeta, and dz: over dy, or in scratch where dy is persistent or unwritten. Returns dz, left
/// unwritten where the weight gradient, its only reader, computes it.
TensorId normBackward(CudaCompiler &c, const Operation &operation);

/// dbias of a conv unit: 0 with batch statistics, which cancel the bias, else the sum of dz over voxels.
void biasGradient(CudaCompiler &c, const Operation &operation, TensorId dz);

}  // namespace semgen::cuda
