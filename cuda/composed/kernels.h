// Small passes of the composed decoder over its weights (compose.h says what for). All tensors are float32.
#pragma once
#include "cuda/runtime.h"

namespace semgen::cuda {

/// images[co, t, m] = conv[co, m, t] for m < middle.
void arrangeWeights(cudaStream_t stream, const float *conv, float *images, int out, int middle, int convIn);
void sumBiasByKind(cudaStream_t stream, const float *images, const float *upBias, float *table, int out, int middle);
/// taps[co, t] = sum of sums[kind, co] over the kinds of voxel that tap t reaches the upsampled tensor from.
void sumByTap(cudaStream_t stream, const float *sums, float *taps, int out);
/// dconv[co, m, t] = dimages[co, t, m] + upBias[m] * taps[co, t], for m < middle.
void spreadGradient(cudaStream_t stream, const float *dimages, const float *upBias, const float *taps, float *dconv,
                    int out, int middle, int convIn);
/// dupBias[m] = sum over co and t of images[co, t, m] * taps[co, t].
void sumBiasGradient(cudaStream_t stream, const float *images, const float *taps, float *dupBias, int out, int middle);

}  // namespace semgen::cuda
