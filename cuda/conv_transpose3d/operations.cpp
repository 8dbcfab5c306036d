// conv_transpose3d and its gradient, by the kernels of conv3d: a transposed convolution runs a convolution's data
// gradient forwards, its data gradient is a convolution, and its weight gradient has the two factors change places.
// k2 s2 is eight matrix products of one tap each, one a parity of the output voxel, in one launch.
#include "cuda/conv_transpose3d/pieces.h"

namespace semgen::cuda {

static void check(CudaCompiler &c, const Operation &op, TensorId y, const ConvGeometry &g) {
  TensorId x = op.at("x");
  requireTransposed(extentsOf(c, x), extentsOf(c, y), g);
  const Shape &weight = c.shape(op.at("weight"));
  if (weight[0] != channelsOf(c, x) || weight[1] != channelsOf(c, y) || imagesOf(c, x) != imagesOf(c, y))
    throw Error("NATIVE", op.name + " does not take " + describe(c.shape(x)) + " to " + describe(c.shape(y)) +
                              " with weights of " + describe(weight) + ".");
}

TransposedConvolution transposed(CudaCompiler &c, TensorId weight, const ConvGeometry &g) {
  int64_t taps = int64_t(g.kernel.x) * g.kernel.y * g.kernel.z;
  return {weight, 0, {c.shape(weight)[1] * taps, taps}, g};
}

void transposedForward(CudaCompiler &c, const TransposedConvolution &t, TensorId x, TensorId y, TensorId bias,
                       TensorId border) {
  ConvolutionCall call{arithmeticOf(c, y),
                       transposedLattices(imagesOf(c, x), extentsOf(c, x), extentsOf(c, y), t.geometry),
                       {t.weight, t.first, {t.view.depthStride, t.view.rowStride, t.view.tapStride}}};
  call.in[0] = x;
  call.out[0] = y;
  call.bias = bias;
  call.border = border;
  addConvolution(c, call);
}

void transposedData(CudaCompiler &c, const TransposedConvolution &t, TensorId dy, TensorId dx) {
  ConvolutionCall call{arithmeticOf(c, dy),
                       {forwardLattice(imagesOf(c, dy), extentsOf(c, dy), extentsOf(c, dx), t.geometry)},
                       {t.weight, t.first, t.view}};
  call.in[0] = dy;
  call.out[0] = dx;
  addConvolution(c, call);
}

void transposedWeights(CudaCompiler &c, const TransposedConvolution &t, TensorId x, TensorId dy) {
  addWeightGradient(c, {arithmeticOf(c, dy),
                        forwardLattice(imagesOf(c, dy), extentsOf(c, dy), extentsOf(c, x), t.geometry),
                        {dy, none},
                        x,
                        {t.weight, t.first, t.view}});
}

static void convTranspose3d(CudaCompiler &c, const Operation &op) {
  ConvGeometry geometry = geometryOf(c, op);
  check(c, op, op.at("y"), geometry);
  TensorId bias = op.has("bias") ? op.at("bias") : none;
  if (bias != none) requireCount(c, bias, channelsOf(c, op.at("y")));
  transposedForward(c, transposed(c, op.at("weight"), geometry), op.at("x"), op.at("y"), bias, none);
}

static void convTranspose3dGrad(CudaCompiler &c, const Operation &op) {
  ConvGeometry geometry = geometryOf(c, op);
  TensorId dy = op.at("dy");
  check(c, op, dy, geometry);
  requireCount(c, op.at("dweight"), elements(c.shape(op.at("weight"))));
  transposedWeights(c, transposed(c, op.at("dweight"), geometry), op.at("x"), dy);
  if (op.has("dx")) transposedData(c, transposed(c, op.at("weight"), geometry), dy, op.at("dx"));
  if (op.has("dbias")) addChannelSums(c, dy, op.at("dbias"));
}

const std::vector<Registration> convTranspose3dOperations = {{"conv_transpose3d", convTranspose3d},
                                                             {"conv_transpose3d_grad", convTranspose3dGrad}};

}  // namespace semgen::cuda
