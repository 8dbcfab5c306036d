#include "cuda/composed/compose.h"

#include "cuda/composed/kernels.h"

namespace semgen::cuda {

namespace {

const ConvGeometry meeting{{2, 2, 2}, {1, 1, 1}, {1, 1, 1}}, doubled{{4, 4, 4}, {2, 2, 2}, {1, 1, 1}};
constexpr Int3 convTaps{3, 3, 3}, composedTaps{4, 4, 4};

TensorId floats(CudaCompiler &c, const Shape &shape) {
  return c.program.scratch(size_t(elements(shape)) * sizeof(float), shape, DType::f32);
}

}  // namespace

bool composingIsCheaper(int64_t in, int64_t middle, int64_t out, int64_t voxels) {
  double conv = 27.0 * double(middle * out) * double(voxels), up = double(in * middle) * double(voxels);
  double composed = 8.0 * double(in * out) * double(voxels), composing = 512.0 * double(in * middle) * double(out);
  return composed + composing < conv + up;
}

Composition::Composition(CudaCompiler &c, const Operation &op, DType activations)
    : up(op.at("up_weight")), upBias(op.at("up_bias")), conv(op.at("weight")) {
  const Shape &upShape = c.shape(up), &convShape = c.shape(conv);
  in = int(upShape[0]);
  middle = int(upShape[1]);
  out = int(convShape[0]);
  convIn = int(convShape[1]);
  arithmetic = activations == DType::bf16 || c.products == Float32Products::tf32 ? Arithmetic::tf32 : Arithmetic::fp32;
  upsampled = op.has("up") ? op.at("up") : none;
  const UnwrittenUpsampling *left = c.unwritten<UnwrittenUpsampling>(upsampled);
  images = left ? left->images : floats(c, {out, 3, 3, 3, middle});
  composed = left ? left->composed : scratch(c);
  biases = floats(c, {out, middleRuns(middle), 27});
}

TensorId Composition::scratch(CudaCompiler &c) const { return floats(c, {out, 4, 4, 4, in}); }

TransposedConvolution Composition::view(TensorId weights) const {
  // Tap s - t + 2 lies at its mirror image u.
  return {weights, int64_t(63) * in, {1, int64_t(64) * in, -int64_t(in)}, doubled};
}

void Composition::compose(CudaCompiler &c) const {
  if (c.unwritten<UnwrittenUpsampling>(upsampled)) return;
  c.step([&c, k = *this](cudaStream_t stream) {
    arrangeWeights(stream, c.data<float>(k.conv), c.data<float>(k.upBias), c.data<float>(k.images),
                   c.data<float>(k.biases), k.out, k.middle, k.convIn);
  });
  ConvolutionCall call{
      arithmetic, {forwardLattice(out, convTaps, composedTaps, meeting)}, {up, 0, {int64_t(middle) * 8, 8}}};
  call.in[0] = images;
  call.out[0] = composed;
  addConvolution(c, call);
  if (upsampled != none && !c.program.persistent(upsampled))
    c.leaveUnwritten(upsampled, UnwrittenUpsampling{images, composed});
}

void Composition::composeBias(CudaCompiler &c, TensorId table) const {
  c.step([&c, k = *this, table](cudaStream_t stream) {
    sumBiasByKind(stream, c.data<float>(k.biases), c.data<float>(table), k.out, k.middle);
  });
}

void Composition::backward(CudaCompiler &c, TensorId dcomposed, TensorId sums, TensorId dup, TensorId dupBias,
                           TensorId dconv) const {
  TensorId dimages = floats(c, {out, 3, 3, 3, middle}), taps = floats(c, {out, 27});
  ConvolutionCall data{
      arithmetic, transposedLattices(out, composedTaps, convTaps, meeting), {up, 0, {8, int64_t(middle) * 8}}};
  data.in[0] = dcomposed;
  data.out[0] = dimages;
  addConvolution(c, data);
  // Over the 27 voxels t, of which each meets all 8 corners s at u = t + 1 - s, and not over the 64 u.
  Lattice corners = transposedLattices(out, composedTaps, convTaps, meeting)[0];
  addWeightGradient(c, {arithmetic, corners, {dcomposed, none}, images, {dup, 0, {8, int64_t(middle) * 8}}});
  c.step([&c, k = *this, sums, taps, dimages, dupBias, dconv](cudaStream_t stream) {
    sumByTap(stream, c.data<float>(sums), c.data<float>(taps), k.out);
    spreadGradient(stream, c.data<float>(dimages), c.data<float>(k.upBias), c.data<float>(taps), c.data<float>(dconv),
                   k.out, k.middle, k.convIn);
    sumBiasGradient(stream, c.data<float>(k.images), c.data<float>(taps), c.data<float>(dupBias), k.out, k.middle);
  });
}

}  // namespace semgen::cuda
