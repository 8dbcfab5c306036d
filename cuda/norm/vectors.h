// Normalisation and its gradient in pieces of 16 bytes: the hot passes of a conv unit.
#pragma once
#include "cuda/launch.h"
#include "engine/tensor.h"

namespace semgen::cuda {

struct NormChannels {
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
};

/// What dz = gamma * rstd * (g - share * (dbeta + normalised * dgamma)) needs, with g = dy where y > 0.
struct NormGradient {
  NormChannels norm;
  const float *dbeta, *dgamma;
  float share;  // 1 / rows; 0 where statistics are running ones
};

/// Where the gradient of a unit's output comes from: see gradient_source.cuh. All but `written` are of bfloat16, of at
/// most 2^31 rows.
struct GradientSource {
  enum class Kind { written, pooled, product } kind;
  const void *dy;             // [rows, channels]; of a product, [rows]
  const void *mask, *pooled;  // of a pooling: its mask, and its output's gradient
  uint32_t half[3];           // of a pooling: its output's extents
  const float *weights;       // of a product: [channels], aligned to 16 bytes
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
  void gradientSums(cudaStream_t stream, const void *z, const GradientSource &dy, const NormChannels &norm,
                    float2 *partial) const;
  /// dz may be a dy that is written.
  void gradient(cudaStream_t stream, const void *z, const GradientSource &dy, const NormGradient &gradient,
                void *dz) const;
};

}  // namespace semgen::cuda
