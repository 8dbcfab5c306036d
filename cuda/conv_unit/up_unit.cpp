// The decoder's first unit: transposed convolution k2 s2, concatenation with the skip, convolution, normalisation,
// ReLU; either as written ("two-step") or with the first two convolutions folded into one ("composed": compose.h).
#include "cuda/conv_unit/up_unit.h"

#include "cuda/composed/compose.h"
#include "cuda/launch.h"
#include "cuda/norm/norm.h"

namespace semgen::cuda {

namespace {

const ConvGeometry doubling{{2, 2, 2}, {2, 2, 2}, {0, 0, 0}}, same{{3, 3, 3}, {1, 1, 1}, {1, 1, 1}};

/// Throws for tensors that do not fit; says whether the unit is computed composed.
bool isComposed(CudaCompiler &c, const Operation &op, TensorId z) {
  TensorId x = op.at("x"), skip = op.at("skip");
  Int3 small = extentsOf(c, x), large = extentsOf(c, skip);
  if (large.x != 2 * small.x || large.y != 2 * small.y || large.z != 2 * small.z)
    throw Error("NATIVE", op.name + " needs a skip of twice the extents of x, not " + describe(c.shape(skip)) +
                              " beside " + describe(c.shape(x)) + ".");
  Shape output = c.shape(skip);
  output[4] = channelsOf(c, z);
  const Shape &up = c.shape(op.at("up_weight")), &conv = c.shape(op.at("weight"));
  if (up.size() != 5 || conv.size() != 5 || up != Shape{channelsOf(c, x), up[1], 2, 2, 2} ||
      conv != Shape{output[4], up[1] + channelsOf(c, skip), 3, 3, 3} || c.shape(z) != output ||
      imagesOf(c, x) != imagesOf(c, skip))
    throw Error("NATIVE", op.name + " takes a 2x2x2 transposed convolution and a 3x3x3 convolution; weights of " +
                              describe(up) + " and " + describe(conv) + " do not take " + describe(c.shape(x)) +
                              " and " + describe(c.shape(skip)) + " to " + describe(c.shape(z)) + ".");
  requireCount(c, op.at("up_bias"), up[1]);
  const std::string &decoder = op.text("decoder");
  if (decoder != "composed" && decoder != "two-step" && decoder != "auto")
    throw Error("NATIVE", op.name + " takes decoder \"auto\", \"composed\" or \"two-step\", not \"" + decoder + "\".");
  return decoder == "composed" ||
         (decoder == "auto" && composingIsCheaper(up[0], up[1], conv[0], elements(c.shape(z)) / output[4]));
}

TensorId floats(CudaCompiler &c, const Shape &shape) {
  return c.program.scratch(size_t(elements(shape)) * sizeof(float), shape, DType::f32);
}

/// The part of the convolution's weights, or their gradient, that belongs to the skip, forwards.
Weights ofSkip(CudaCompiler &c, const Operation &op, TensorId weight) {
  int64_t middle = c.shape(op.at("up_weight"))[1], row = c.shape(op.at("weight"))[1] * 27;
  return {weight, middle * 27, {row, 27}};
}

/// z from x and skip; gives whether mean and variance are known.
bool composedForward(CudaCompiler &c, const Operation &op, TensorId table, bool batch) {
  TensorId z = op.at("z"), skip = op.at("skip");
  Composition composition(c, op, c.floats(z));
  composition.compose(c);
  composition.composeBias(c, table);
  transposedForward(c, composition.view(composition.composed), op.at("x"), z, none, table);
  ConvolutionCall call{arithmeticOf(c, z),
                       {forwardLattice(imagesOf(c, skip), extentsOf(c, skip), extentsOf(c, z), same)},
                       ofSkip(c, op, op.at("weight"))};
  call.in[0] = skip;
  call.out[0] = z;
  call.accumulate = true;
  return addConvolution(c, call, batch ? op.at("mean") : none, batch ? op.at("variance") : none);
}

void composedBackward(CudaCompiler &c, const Operation &op, TensorId dz) {
  TensorId x = op.at("x"), skip = op.at("skip");
  Int3 extents = extentsOf(c, dz);
  int images = imagesOf(c, dz);
  Weights weight = ofSkip(c, op, op.at("weight"));
  addWeightGradient(c, {arithmeticOf(c, dz),
                        forwardLattice(images, extents, extents, same),
                        {skip, none},
                        dz,
                        ofSkip(c, op, op.at("dweight"))});
  if (op.has("dskip")) {
    ConvolutionCall call{arithmeticOf(c, dz),
                         transposedLattices(images, extents, extents, same),
                         {weight.tensor, weight.first, {weight.view.depthStride, weight.view.rowStride}}};
    call.in[0] = dz;
    call.out[0] = op.at("dskip");
    addConvolution(c, call);
  }
  Composition composition(c, op, c.floats(dz));
  composition.compose(c);
  TensorId dcomposed = composition.scratch(c), sums = floats(c, {27, composition.out});
  transposedWeights(c, composition.view(dcomposed), x, dz);
  // Batch statistics take the mean of dz away.
  addKindSums(c, dz, sums, normParameters(op).batchStatistics);
  composition.backward(c, dcomposed, sums, op.at("dup_weight"), op.at("dup_bias"), op.at("dweight"));
  if (op.has("dx")) transposedData(c, composition.view(composition.composed), dz, op.at("dx"));
}

/// The upsampled x and the skip, as one convolution sees them.
Operation convolutionOf(const Operation &op, TensorId up) {
  Operation conv = op;
  conv.inputs["x"] = {up};
  return conv;
}

}  // namespace

void upUnit(CudaCompiler &c, const Operation &op) {
  bool batch = normParameters(op).batchStatistics;
  TensorId z = op.at("z");
  if (isComposed(c, op, z)) {
    c.note("composed");
    TensorId table = floats(c, {27, channelsOf(c, z)}), interior = floats(c, {channelsOf(c, z)});
    bool known = composedForward(c, op, table, batch);
    // What an interior voxel gets from the upsampled bias is one shift for all: the norm folds it in.
    c.step([&c, table, interior, channels = channelsOf(c, z)](cudaStream_t stream) {
      check(cudaMemcpyAsync(c.data(interior), c.data<float>(table) + interiorKind * channels,
                            size_t(channels) * sizeof(float), cudaMemcpyDeviceToDevice, stream),
            "A copy");
    });
    return normForward(c, op, {op.at("bias"), interior}, known);
  }
  c.note("two-step");
  TensorId up = op.at("up");
  requireTransposed(extentsOf(c, op.at("x")), extentsOf(c, up), doubling);
  transposedForward(c, transposed(c, op.at("up_weight"), doubling), op.at("x"), up, op.at("up_bias"), none);
  bool known = convInputs(c, convolutionOf(op, up), z, same, none, batch ? op.at("mean") : none,
                          batch ? op.at("variance") : none);
  normForward(c, op, {op.at("bias")}, known);
}

void upUnitGrad(CudaCompiler &c, const Operation &op) {
  bool composed = isComposed(c, op, op.at("dy"));
  TensorId dz = normBackward(c, op);
  biasGradient(c, op, dz);
  if (composed) return composedBackward(c, op, dz);

  TensorId x = op.at("x"), up = op.at("up");
  DType type = c.floats(dz);
  TensorId dup = c.program.scratch(size_t(elements(c.shape(up))) * sizeOf(type), c.shape(up), type);
  Operation conv = convolutionOf(op, up);
  conv.outputs["dx"] = {dup};
  convGradients(c, conv, dz, same);
  addChannelSums(c, dup, op.at("dup_bias"));
  transposedWeights(c, transposed(c, op.at("dup_weight"), doubling), x, dup);
  if (op.has("dx")) transposedData(c, transposed(c, op.at("up_weight"), doubling), dup, op.at("dx"));
}

}  // namespace semgen::cuda
