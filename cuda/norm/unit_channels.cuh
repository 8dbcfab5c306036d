// Batch normalisation + ReLU and its gradient for neighbouring channels of a thread, their parameters in registers; in
// one place, so that the same bits come from every kernel that computes them.
#pragma once
#include "cuda/norm/affine.cuh"
#include "cuda/norm/piece.cuh"
#include "cuda/norm/vectors.h"

namespace semgen::cuda {

template <int size>
struct UnitChannels {
  float2 affine[size];
  float mean[size], rstd[size];

  /// `first` is a multiple of four, and all `size` channels exist.
  SEMGEN_DEVICE UnitChannels(const NormChannels &norm, int first) {
    float gamma[size], beta[size];
    loadParameters(gamma, norm.gamma + first);
    loadParameters(beta, norm.beta + first);
    loadParameters(mean, norm.mean + first);
    loadParameters(rstd, norm.variance + first);
#pragma unroll
    for (int i = 0; i < size; ++i) {
      rstd[i] = rsqrtf(rstd[i] + norm.epsilon);
      affine[i] = unitAffine(gamma[i], beta[i], mean[i], rstd[i]);
    }
  }
  SEMGEN_DEVICE float normalised(int i, float z) const { return (z - mean[i]) * rstd[i]; }
  /// The gradient before ReLU.
  SEMGEN_DEVICE float kept(int i, float z, float dy) const { return beforeRelu(affine[i], z) > 0 ? dy : 0.0f; }
};

template <int size>
struct UnitGradient {
  UnitChannels<size> channels;
  float dbeta[size], dgamma[size], share;

  SEMGEN_DEVICE UnitGradient(const NormGradient &gradient, int first)
      : channels(gradient.norm, first), share(gradient.share) {
    loadParameters(dbeta, gradient.dbeta + first);
    loadParameters(dgamma, gradient.dgamma + first);
  }
  SEMGEN_DEVICE float dz(int i, float z, float dy) const {
    float centred = channels.kept(i, z, dy) - share * (dbeta[i] + channels.normalised(i, z) * dgamma[i]);
    return channels.affine[i].x * centred;
  }
};

}  // namespace semgen::cuda
