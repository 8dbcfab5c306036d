// What an operation says of a conv unit's normalisation, as kernels of one element a thread take it.
#pragma once
#include "cuda/compiler.h"
#include "cuda/norm/affine.cuh"
#include "cuda/norm/columns.cuh"
#include "cuda/norm/vectors.h"
#include "engine/checks.h"

namespace semgen::cuda {

/// What normalises one channel.
struct Affine {
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
  SEMGEN_DEVICE float rstd(int channel) const { return rsqrtf(variance[channel] + epsilon); }
  SEMGEN_DEVICE float normalised(int channel, float z) const { return (z - mean[channel]) * rstd(channel); }
  SEMGEN_DEVICE float2 of(int channel) const {
    return unitAffine(gamma[channel], beta[channel], mean[channel], rstd(channel));
  }
  SEMGEN_DEVICE float operator()(int channel, float z) const { return beforeRelu(of(channel), z); }
};

inline Affine affineOf(const CudaCompiler &c, const Operation &op, float epsilon) {
  return {c.data<float>(op.at("gamma")), c.data<float>(op.at("beta")), c.data<float>(op.at("mean")),
          c.data<float>(op.at("variance")), epsilon};
}

/// Whether all these activations take the passes of vectors.h.
inline bool inVectors(const CudaCompiler &c, std::initializer_list<TensorId> activations, int channels) {
  DType type = c.floats(*activations.begin());
  for (TensorId id : activations)
    if (c.floats(id) != type) return false;
  return NormVectors::fit(type, channels);
}

inline Columns columnsOf(const CudaCompiler &c, const Operation &op) {
  const Shape &z = requireRank(c.program, op, "z", 5);
  return Columns(elements(z) / z.back(), int(z.back()));
}

/// Everything a channel has one of.
inline void requireChannels(const CudaCompiler &c, const Operation &op, std::initializer_list<const char *> roles) {
  int64_t channels = c.shape(op.at("z")).back();
  for (const char *role : roles) {
    requireShape(c.program, op, role, {channels});
    requireType(c.program, op, role, DType::f32);
  }
}

}  // namespace semgen::cuda
