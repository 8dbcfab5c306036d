// Normalisation and its gradient in pieces of 16 bytes: the hot passes of a conv unit.
#pragma once
#include "cuda/launch.h"
#include "engine/tensor.h"

namespace semgen::cuda {

struct NormChannels {
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
};

struct NormVectors {
  DType type;  // of all activations
  int channels;
  int64_t rows;

  /// Whether these passes take so many channels: whole pieces, and a power of two of them up to 256.
  static bool fit(DType type, int channels);
  /// Blocks of `gradientSums`, and how much they write: [blocks, channels] pairs.
  int blocks() const;
  size_t partialBytes() const { return size_t(blocks()) * size_t(channels) * sizeof(float2); }

  /// y = relu(gamma * (z - mean) * rstd + beta).
  void normalise(cudaStream_t stream, const void *z, void *y, const NormChannels &norm) const;
  /// With g = dy where y > 0: a block's sums of g, and of g times the normalised z.
  void gradientSums(cudaStream_t stream, const void *z, const void *dy, const NormChannels &norm,
                    float2 *partial) const;
  /// dz = gamma * rstd * (g - share * (dbeta + normalised * dgamma)); dz may be dy.
  void gradient(cudaStream_t stream, const void *z, const void *dy, const NormChannels &norm, const float *dbeta,
                const float *dgamma, float share, void *dz) const;
};

}  // namespace semgen::cuda
