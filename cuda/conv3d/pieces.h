// Convolutions as pieces that operations put together when a program is compiled.
#pragma once
#include "cuda/compiler.h"
#include "cuda/conv3d/convolve.h"

namespace semgen::cuda {

constexpr TensorId none = -1;

/// How a convolution that computes on tensors of this type does so.
Arithmetic arithmeticOf(const CudaCompiler &c, TensorId activation);
/// The extents of an activation [N, X, Y, Z, C]. Throws unless it has five.
Int3 extentsOf(const CudaCompiler &c, TensorId activation);
int imagesOf(const CudaCompiler &c, TensorId activation);
int channelsOf(const CudaCompiler &c, TensorId activation);
/// Throws unless a dense float32 tensor of parameters has so many elements.
void requireCount(const CudaCompiler &c, TensorId parameters, int64_t count);

/// Stride and padding of an operation, with the kernel of its weights. Throws Error NATIVE for what is no geometry.
ConvGeometry geometryOf(const CudaCompiler &c, const Operation &operation);
/// Throws unless a convolution of this geometry takes extents `in` to `out`.
void requireForward(Int3 in, Int3 out, const ConvGeometry &geometry);
void requireTransposed(Int3 in, Int3 out, const ConvGeometry &geometry);

/// The activation in this element type: itself, or a cast copy; written in scratch where its unit left it unwritten.
TensorId reading(CudaCompiler &c, TensorId activation, DType type);

/// Weights in a parameter tensor, or in scratch of an operation.
struct Weights {
  TensorId tensor;
  int64_t first;  // the element that is row 0, depth 0, tap 0
  WeightsView view;
};

struct ConvolutionCall {
  Arithmetic arithmetic;
  std::vector<Lattice> lattices;
  Weights weights;
  TensorId in[2] = {none, none}, out[2] = {none, none};
  TensorId bias = none, border = none;
  bool accumulate = false;
};
/// With `mean` and `variance` (float32 [channels]): also computes the biased moments of the output in the convolution's
/// epilogue, where its arithmetic allows. Gives whether it did.
bool addConvolution(CudaCompiler &c, const ConvolutionCall &call, TensorId mean = none, TensorId variance = none);

struct WeightGradientCall {
  Arithmetic arithmetic;
  Lattice lattice;
  TensorId gathered[2] = {none, none}, plain = none;
  Weights dweight;  // overwritten
};
void addWeightGradient(CudaCompiler &c, const WeightGradientCall &call);

/// Whether all that reads a conv unit's output can do without it, and gains by computing it from z: the fast paths of
/// 3x3x3 convolutions and of halving, in bfloat16.
bool canStayUnwritten(CudaCompiler &c, TensorId y);

/// Whether a conv unit's weight gradient alone reads its dz, and computes it from z and dy: that of one channel.
bool computesUnitGradient(CudaCompiler &c, const Operation &unitGradient);

/// sums[channel] = sum of dy over images and voxels.
void addChannelSums(CudaCompiler &c, TensorId dy, TensorId sums);
/// sums[kind, channel]: apart by the 27 kinds of voxel (ChannelSums); `balanced`: they add up to 0.
void addKindSums(CudaCompiler &c, TensorId dy, TensorId sums, bool balanced);

// --- whole operations' convolutions ----------------------------------------------------------------------------------
/// z = conv(x concatenated with skip, weight) + bias (none: without). Moments of z as addConvolution.
bool convInputs(CudaCompiler &c, const Operation &operation, TensorId z, const ConvGeometry &geometry, TensorId bias,
                TensorId mean = none, TensorId variance = none);
/// dweight, dx and dskip, where the operation has them, from dz.
void convGradients(CudaCompiler &c, const Operation &operation, TensorId dz, const ConvGeometry &geometry);

}  // namespace semgen::cuda
