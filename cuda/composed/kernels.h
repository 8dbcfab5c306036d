// Small passes of the composed decoder over its weights (compose.h says what for). All tensors are float32.
#pragma once
#include "cuda/runtime.h"

namespace semgen::cuda {

/// Middle channels that arrangeWeights takes at a time, and how many runs of so many there are.
constexpr int middleRun = 32;
inline int middleRuns(int middle) { return (middle + middleRun - 1) / middleRun; }
/// images[co, t, m] = conv[co, m, t] for m < middle; biases[co, run, t] = sum over the m of a run of upBias[m] * conv.
void arrangeWeights(cudaStream_t stream, const float *conv, const float *upBias, float *images, float *biases, int out,
                    int middle, int convIn);
/// table[kind, co] = sum of biases over runs and the taps inside.
void sumBiasByKind(cudaStream_t stream, const float *biases, float *table, int out, int middle);
/// taps[co, t] = sum of sums[kind, co] over the kinds of voxel that tap t reaches the upsampled tensor from.
void sumByTap(cudaStream_t stream, const float *sums, float *taps, int out);
/// dconv[co, m, t] = dimages[co, t, m] + upBias[m] * taps[co, t], for m < middle.
void spreadGradient(cudaStream_t stream, const float *dimages, const float *upBias, const float *taps, float *dconv,
                    int out, int middle, int convIn);
/// dupBias[m] = sum over co and t of images[co, t, m] * taps[co, t].
void sumBiasGradient(cudaStream_t stream, const float *images, const float *taps, float *dupBias, int out, int middle);

}  // namespace semgen::cuda
