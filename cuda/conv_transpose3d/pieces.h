// Transposed convolutions as pieces that operations put together.
#pragma once
#include "cuda/conv3d/pieces.h"

namespace semgen::cuda {

/// Weights, or their gradient: `view` has the channels of the smaller tensor as rows, of the larger as depth.
struct TransposedConvolution {
  TensorId weight;
  int64_t first;
  WeightsView view;
  ConvGeometry geometry;
};
/// Of weights (in, out, kx, ky, kz), dense float32.
TransposedConvolution transposed(CudaCompiler &c, TensorId weight, const ConvGeometry &geometry);

/// y = transposed convolution of x + bias + border terms (none: without).
void transposedForward(CudaCompiler &c, const TransposedConvolution &t, TensorId x, TensorId y, TensorId bias,
                       TensorId border);
void transposedData(CudaCompiler &c, const TransposedConvolution &t, TensorId dy, TensorId dx);
/// Overwrites t.weight with the gradient.
void transposedWeights(CudaCompiler &c, const TransposedConvolution &t, TensorId x, TensorId dy);

}  // namespace semgen::cuda
