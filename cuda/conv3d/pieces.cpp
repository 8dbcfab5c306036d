#include "cuda/conv3d/pieces.h"

#include <algorithm>
#include <array>

#include "cuda/conv3d/channels.h"
#include "cuda/conv3d/choices.h"
#include "cuda/conv3d/moments.h"
#include "cuda/conv3d/weight_gradient.h"
#include "cuda/launch.h"
#include "cuda/norm/norm.h"
#include "cuda/pool/halving.h"

namespace semgen::cuda {

Arithmetic arithmeticOf(const CudaCompiler &c, TensorId activation) {
  if (c.floats(activation) == DType::bf16) return Arithmetic::bf16;
  return c.products == Float32Products::tf32 ? Arithmetic::tf32 : Arithmetic::fp32;
}

static const Shape &activationShape(const CudaCompiler &c, TensorId activation) {
  const Shape &shape = c.shape(activation);
  if (shape.size() != 5)
    throw Error("NATIVE", "A convolution takes activations of five extents, not " + describe(shape) + ".");
  return shape;
}

Int3 extentsOf(const CudaCompiler &c, TensorId activation) {
  const Shape &shape = activationShape(c, activation);
  return {int(shape[1]), int(shape[2]), int(shape[3])};
}

static int64_t volume(Int3 extents) { return int64_t(extents.x) * extents.y * extents.z; }
int imagesOf(const CudaCompiler &c, TensorId activation) { return int(activationShape(c, activation)[0]); }
int channelsOf(const CudaCompiler &c, TensorId activation) { return int(activationShape(c, activation)[4]); }

void requireCount(const CudaCompiler &c, TensorId parameters, int64_t count) {
  if (elements(c.shape(parameters)) != count)
    throw Error("NATIVE", "A tensor of " + describe(c.shape(parameters)) + " was expected to hold " +
                              std::to_string(count) + ".");
}

static const Shape &weightShape(const CudaCompiler &c, TensorId weight) {
  const Shape &shape = c.shape(weight);
  if (shape.size() != 5) throw Error("NATIVE", "Convolution weights have five extents, not " + describe(shape) + ".");
  return shape;
}

ConvGeometry geometryOf(const CudaCompiler &c, const Operation &operation) {
  auto stride = operation.integers("stride"), padding = operation.integers("padding");
  bool fits = stride.size() == 3 && padding.size() == 3;
  for (size_t axis = 0; fits && axis < 3; ++axis) fits = stride[axis] >= 1 && padding[axis] >= 0;
  if (!fits)
    throw Error("NATIVE", operation.name + " takes three strides from 1 and three paddings from 0, not " +
                              describe(stride) + " and " + describe(padding) + ".");
  const Shape &shape = weightShape(c, operation.at("weight"));
  for (size_t axis = 0; axis < 3; ++axis)
    if (shape[axis + 2] > maxKernel || stride[axis] > 64 || padding[axis] > 64)
      throw Error("NATIVE", operation.name + " takes kernels up to " + std::to_string(maxKernel) +
                                " voxels, strides and paddings up to 64, not " +
                                describe({shape.begin() + 2, shape.end()}) + ", " + describe(stride) + " and " +
                                describe(padding) + ".");
  auto triple = [](const int64_t *of) { return Int3{int(of[0]), int(of[1]), int(of[2])}; };
  return {triple(&shape[2]), triple(stride.data()), triple(padding.data())};
}

static void refuse(Int3 in, Int3 out, const ConvGeometry &g) {
  auto words = [](Int3 of) { return describe({of.x, of.y, of.z}); };
  throw Error("NATIVE", "A convolution with kernel " + words(g.kernel) + " does not take extents " + words(in) +
                            " to " + words(out) + ".");
}

void requireForward(Int3 in, Int3 out, const ConvGeometry &g) {
  auto fits = [](int in, int out, int kernel, int stride, int padding) {
    return in + 2 * padding >= kernel && out == (in + 2 * padding - kernel) / stride + 1;
  };
  if (!fits(in.x, out.x, g.kernel.x, g.stride.x, g.padding.x) ||
      !fits(in.y, out.y, g.kernel.y, g.stride.y, g.padding.y) ||
      !fits(in.z, out.z, g.kernel.z, g.stride.z, g.padding.z))
    refuse(in, out, g);
}

void requireTransposed(Int3 in, Int3 out, const ConvGeometry &g) {
  auto fits = [](int in, int out, int kernel, int stride, int padding) {
    return out == (in - 1) * stride - 2 * padding + kernel;
  };
  if (!fits(in.x, out.x, g.kernel.x, g.stride.x, g.padding.x) ||
      !fits(in.y, out.y, g.kernel.y, g.stride.y, g.padding.y) ||
      !fits(in.z, out.z, g.kernel.z, g.stride.z, g.padding.z))
    refuse(in, out, g);
}

static TensorId scratchLike(CudaCompiler &c, TensorId activation, DType type) {
  const Shape &shape = c.shape(activation);
  return c.program.scratch(size_t(elements(shape)) * sizeOf(type), shape, type);
}

static void addCast(CudaCompiler &c, TensorId from, TensorId to) {
  c.step([&c, from, to, fromType = c.floats(from), toType = c.floats(to), count = elements(c.shape(from))](
             cudaStream_t stream) { castElements(stream, c.data(from), fromType, c.data(to), toType, count); });
}

TensorId reading(CudaCompiler &c, TensorId activation, DType type) {
  if (const UnwrittenUnit *unit = c.unwritten<UnwrittenUnit>(activation)) {
    TensorId written = scratchLike(c, activation, DType::bf16);
    c.step([&c, from = *unit, written, channels = channelsOf(c, activation),
            count = elements(c.shape(activation))](cudaStream_t stream) {
      writeUnit(stream, c.data(from.z), c.data<float2>(from.affine), c.data(written), channels, count);
    });
    if (type == DType::bf16) return written;
    TensorId copy = scratchLike(c, activation, type);
    addCast(c, written, copy);
    return copy;
  }
  if (c.floats(activation) == type) return activation;
  TensorId copy = scratchLike(c, activation, type);
  addCast(c, activation, copy);
  return copy;
}

static DType typeOf(Arithmetic arithmetic) { return arithmetic == Arithmetic::bf16 ? DType::bf16 : DType::f32; }

/// An input of a kernel: what it reads, and how that becomes the activation (none: it is the activation).
struct Input {
  TensorId read = none, affine = none;
};

/// `computes`: the kernel computes a unit's output from its z itself.
static Input inputOf(CudaCompiler &c, TensorId activation, DType type, bool computes) {
  if (activation == none) return {};
  const UnwrittenUnit *unit = computes ? c.unwritten<UnwrittenUnit>(activation) : nullptr;
  return unit ? Input{unit->z, unit->affine} : Input{reading(c, activation, type), none};
}

/// The sums that a conv unit's gradient takes over dy, taken where a convolution stores dy: by tile, then added.
struct SumsOfUnit {
  const Operation *gradient = nullptr;  // the unit's; null: no sums are wanted, or these tiles give none
  ChannelSums shape{};
  TensorId byTile = none, partial = none, sums = none;

  SumsOfUnit() = default;
  SumsOfUnit(CudaCompiler &c, const ConvolveShape &convolution, TensorId dy) {
    if (convolution.takesUnitSums()) gradient = gradientOfKnownUnit(c, dy);
    if (!gradient) return;
    int channels = convolution.outChannels[0], tiles = int(convolution.tiles());
    shape = {DType::f32, 1, 2 * channels, 1, {tiles, 1, 1}};
    byTile = c.scratch(size_t(tiles) * size_t(channels) * sizeof(float2));
    partial = c.scratch(shape.partialBytes());
    sums = c.scratch(size_t(channels) * sizeof(float2));
    c.leaveGradientSums(dy, sums);
  }
  UnitSums pointers(const CudaCompiler &c) const {
    return {c.data(gradient->at("z")), normChannels(c, *gradient, normParameters(*gradient).epsilon),
            c.data<float2>(byTile)};
  }
  void add(const CudaCompiler &c, cudaStream_t stream) const {
    shape.run(stream, c.data(byTile), c.data<float>(partial), c.data<float>(sums));
  }
};

bool addConvolution(CudaCompiler &c, const ConvolutionCall &call, TensorId mean, TensorId variance) {
  DType type = typeOf(call.arithmetic);
  ConvolutionCall used = call;
  ChannelPair in{0, 0}, out{0, 0};
  for (int i = 0; i < 2; ++i) {
    if (call.in[i] != none) (i ? in.second : in.first) = channelsOf(c, call.in[i]);
    if (call.out[i] != none) {
      (i ? out.second : out.first) = channelsOf(c, call.out[i]);
      // Adding to a tensor of another type never happens: accumulating calls follow one that wrote the same tensor.
      if (c.floats(call.out[i]) != type) used.out[i] = scratchLike(c, call.out[i], type);
    }
  }
  // Of what is stored: not where the output is then cast.
  bool moments =
      mean != none && call.arithmetic != Arithmetic::fp32 && call.lattices.size() == 1 && used.out[0] == call.out[0];
  std::vector<ConvolveShape> shapes;
  for (const Lattice &lattice : call.lattices)
    shapes.push_back(c.choices.convolution(call.arithmetic, lattice, call.weights.view, in, out));
  bool computes = std::all_of(shapes.begin(), shapes.end(), [](const ConvolveShape &s) { return s.computesUnits(); });
  Input inputs[2] = {inputOf(c, call.in[0], type, computes), inputOf(c, call.in[1], type, computes)};
  SumsOfUnit unit;
  if (shapes.size() == 1 && used.out[0] == call.out[0] && !call.accumulate)
    unit = SumsOfUnit(c, shapes[0], call.out[0]);
  TensorId momentsByTile = none, counts = none, partial = none;
  for (const ConvolveShape &shape : shapes) {
    TensorId packed = c.scratch(shape.packedBytes());
    TensorId splits = shape.partialBytes() > 0 ? c.scratch(shape.partialBytes()) : none;
    MomentsShape combined{shape.tiles(), out.first, imagesOf(c, call.out[0]) * volume(extentsOf(c, call.out[0]))};
    if (moments) {
      momentsByTile = c.scratch(size_t(combined.tiles) * size_t(out.first) * sizeof(float2));
      counts = c.scratch(size_t(combined.tiles) * sizeof(int));
      partial = c.scratch(combined.partialBytes());
    }
    c.step([&c, used, inputs = std::array{inputs[0], inputs[1]}, shape, packed, splits, moments, momentsByTile, counts,
            partial, combined, mean, variance, unit](cudaStream_t stream) {
      auto data = [&](TensorId id) { return id == none ? nullptr : c.data(id); };
      auto affine = [&](const Input &input) { return static_cast<const float2 *>(data(input.affine)); };
      ConvolvePointers pointers{c.data<float>(used.weights.tensor) + used.weights.first,
                                c.data(packed),
                                static_cast<float4 *>(data(splits)),
                                {data(inputs[0].read), data(inputs[1].read)},
                                {affine(inputs[0]), affine(inputs[1])},
                                {data(used.out[0]), data(used.out[1])},
                                static_cast<const float *>(data(used.bias)),
                                static_cast<const float *>(data(used.border)),
                                used.accumulate};
      if (moments) pointers.statistics = {c.data<float2>(momentsByTile), c.data<int>(counts)};
      if (unit.gradient) pointers.unit = unit.pointers(c);
      packWeights(stream, shape, pointers);
      convolve(stream, shape, pointers);
      if (unit.gradient) unit.add(c, stream);
      if (moments)
        combined.run(stream, pointers.statistics, c.data<double>(partial), c.data<float>(mean),
                     c.data<float>(variance));
    });
  }
  for (int i = 0; i < 2; ++i)
    if (used.out[i] != call.out[i]) addCast(c, used.out[i], call.out[i]);
  return moments;
}

static constexpr UnwrittenUnitGradient noUnit{none, none, none, none, none, none, none, none, 0, 0};

void addWeightGradient(CudaCompiler &c, const WeightGradientCall &call) {
  DType type = typeOf(call.arithmetic);
  WeightGradientCall used = call;
  ChannelPair gathered{0, 0};
  for (int i = 0; i < 2; ++i)
    if (call.gathered[i] != none) (i ? gathered.second : gathered.first) = channelsOf(c, call.gathered[i]);
  const UnwrittenUnitGradient *unit = c.unwritten<UnwrittenUnitGradient>(call.plain);
  used.plain = unit ? unit->dy : reading(c, call.plain, type);
  WeightGradientShape shape =
      c.choices.gradient(call.arithmetic, call.lattice, gathered, channelsOf(c, call.plain), call.dweight.view);
  bool computes = shape.computesUnits();
  Input inputs[2] = {inputOf(c, call.gathered[0], type, computes), inputOf(c, call.gathered[1], type, computes)};
  TensorId partial = shape.partialBytes() > 0 ? c.scratch(shape.partialBytes()) : none;
  c.step([&c, used, inputs = std::array{inputs[0], inputs[1]}, unit = unit ? *unit : noUnit, shape,
          partial](cudaStream_t stream) {
    auto data = [&](TensorId id) { return id == none ? nullptr : c.data(id); };
    auto affine = [&](const Input &input) { return static_cast<const float2 *>(data(input.affine)); };
    WeightGradientPointers pointers{{data(inputs[0].read), data(inputs[1].read)},
                                    {affine(inputs[0]), affine(inputs[1])},
                                    c.data(used.plain),
                                    static_cast<float *>(data(partial)),
                                    c.data<float>(used.dweight.tensor) + used.dweight.first};
    if (unit.z != none) {
      pointers.z = c.data(unit.z);
      pointers.gradient = {{c.data<float>(unit.gamma), c.data<float>(unit.beta), c.data<float>(unit.mean),
                            c.data<float>(unit.variance), unit.epsilon},
                           c.data<float>(unit.dbeta),
                           c.data<float>(unit.dgamma),
                           unit.share};
    }
    weightGradient(stream, shape, pointers);
  });
}

static void addSums(CudaCompiler &c, TensorId dy, TensorId sums, int kinds, bool balanced) {
  ChannelSums shape{c.floats(dy), imagesOf(c, dy), channelsOf(c, dy), kinds, extentsOf(c, dy), balanced};
  requireCount(c, sums, int64_t(kinds) * shape.channels);
  TensorId partial = c.scratch(shape.partialBytes());
  c.step([&c, shape, dy, partial, sums](cudaStream_t stream) {
    shape.run(stream, c.data(dy), c.data<float>(partial), c.data<float>(sums));
  });
}

void addChannelSums(CudaCompiler &c, TensorId dy, TensorId sums) { addSums(c, dy, sums, 1, false); }
void addKindSums(CudaCompiler &c, TensorId dy, TensorId sums, bool balanced) { addSums(c, dy, sums, 27, balanced); }

/// Whether an operation computes what it reads as `role` from z itself, with the kernels it will choose.
static bool computesUnit(CudaCompiler &c, const Operation &op, const std::string &role, TensorId y) {
  bool up = op.name == "up_unit" || op.name == "up_unit_grad";
  bool convolves =
      op.name == "conv_unit" || op.name == "conv_unit_grad" || op.name == "conv3d" || op.name == "conv3d_grad";
  if (op.name == "max_pool") return halves(c, op);
  if (!(up ? role == "skip" : convolves)) return false;
  ConvGeometry geometry = up ? ConvGeometry{{3, 3, 3}, {1, 1, 1}, {1, 1, 1}} : geometryOf(c, op);
  TensorId out = op.at(op.has("z") ? "z" : op.has("dy") ? "dy" : "y");
  if (arithmeticOf(c, out) != Arithmetic::bf16) return false;
  Lattice lattice = forwardLattice(imagesOf(c, y), extentsOf(c, y), extentsOf(c, out), geometry);
  ChannelPair in{channelsOf(c, y), 0};
  int rows = channelsOf(c, out);
  const Card &card = c.choices.card();
  if (op.outputs.count("dweight"))
    return WeightGradientShape(Arithmetic::bf16, lattice, in, rows, {}, card.multiprocessors, card.sharedBytes)
        .computesUnits();
  return ConvolveShape(Arithmetic::bf16, lattice, {}, in, {rows, 0}, card.multiprocessors, card.sharedBytes)
      .computesUnits();
}

bool computesUnitGradient(CudaCompiler &c, const Operation &op) {
  if (op.name != "conv_unit_grad" || op.has("skip") || op.has("dx") || op.has("dskip")) return false;
  TensorId x = op.at("x"), dy = op.at("dy");
  Lattice lattice = forwardLattice(imagesOf(c, x), extentsOf(c, x), extentsOf(c, dy), geometryOf(c, op));
  return arithmeticOf(c, dy) == Arithmetic::bf16 &&
         c.choices.gradient(Arithmetic::bf16, lattice, {channelsOf(c, x), 0}, channelsOf(c, dy), {})
             .computesUnitGradients();
}

bool canStayUnwritten(CudaCompiler &c, TensorId y) {
  auto readers = c.program.readers(y);
  return c.floats(y) == DType::bf16 && !c.program.persistent(y) && !readers.empty() &&
         std::all_of(readers.begin(), readers.end(),
                     [&](const Program::Reader &reader) { return computesUnit(c, *reader.operation, reader.role, y); });
}

/// Channels of x and skip, checked against the weights (out, in, kx, ky, kz) and each other's extents.
static ChannelPair inputChannels(CudaCompiler &c, const Operation &op, TensorId z, const ConvGeometry &g) {
  TensorId x = op.at("x");
  ChannelPair channels{channelsOf(c, x), 0};
  requireForward(extentsOf(c, x), extentsOf(c, z), g);
  Shape like = c.shape(x);
  if (op.has("skip")) {
    Shape skip = c.shape(op.at("skip"));
    channels.second = channelsOf(c, op.at("skip"));
    skip[4] = like[4];
    if (skip != like)
      throw Error("NATIVE", op.name + " needs a skip of the extents of x, not " + describe(c.shape(op.at("skip"))) +
                                " beside " + describe(like) + ".");
  }
  const Shape &weight = weightShape(c, op.at("weight"));
  if (weight[0] != channelsOf(c, z) || weight[1] != channels.all() || imagesOf(c, x) != imagesOf(c, z))
    throw Error("NATIVE", op.name + " does not take " + describe(like) + " to " + describe(c.shape(z)) +
                              " with weights of " + describe(weight) + " and a skip of " +
                              std::to_string(channels.second) + " channels.");
  return channels;
}

bool convInputs(CudaCompiler &c, const Operation &op, TensorId z, const ConvGeometry &g, TensorId bias, TensorId mean,
                TensorId variance) {
  ChannelPair in = inputChannels(c, op, z, g);
  if (bias != none) requireCount(c, bias, channelsOf(c, z));
  TensorId x = op.at("x");
  int64_t taps = g.kernel.x * g.kernel.y * g.kernel.z;
  ConvolutionCall call{arithmeticOf(c, z),
                       {forwardLattice(imagesOf(c, x), extentsOf(c, x), extentsOf(c, z), g)},
                       {op.at("weight"), 0, {in.all() * taps, taps}}};
  call.in[0] = x;
  if (op.has("skip")) call.in[1] = op.at("skip");
  call.out[0] = z;
  call.bias = bias;
  return addConvolution(c, call, mean, variance);
}

void convGradients(CudaCompiler &c, const Operation &op, TensorId dz, const ConvGeometry &g) {
  ChannelPair in = inputChannels(c, op, dz, g);
  TensorId x = op.at("x"), weight = op.at("weight"), dweight = op.at("dweight");
  requireCount(c, dweight, elements(c.shape(weight)));
  Arithmetic arithmetic = arithmeticOf(c, dz);
  Int3 small = extentsOf(c, dz), large = extentsOf(c, x);
  int images = imagesOf(c, x);
  int64_t taps = g.kernel.x * g.kernel.y * g.kernel.z, row = in.all() * taps;
  WeightGradientCall gradient{arithmetic,
                              forwardLattice(images, large, small, g),
                              {x, op.has("skip") ? op.at("skip") : none},
                              dz,
                              {dweight, 0, {row, taps}}};
  addWeightGradient(c, gradient);
  bool one = g.kernel == Int3{1, 1, 1} && g.stride == Int3{1, 1, 1} && g.padding == Int3{0, 0, 0} && small == large;
  if (one && channelsOf(c, dz) == 1 && arithmetic == Arithmetic::bf16 && !op.has("skip") && op.has("dx") &&
      unitsGradientAlone(c, op.at("dx")))
    return c.leaveUnwritten(op.at("dx"), UnwrittenProduct{dz, weight});
  // dx and dskip are channels of one gradient: written by one launch, unless only one is wanted.
  bool both = op.has("dx") && op.has("dskip");
  for (auto [role, first] : {std::pair{"dx", 0}, {"dskip", in.first}}) {
    if (!op.has(role) || (both && first > 0)) continue;
    ConvolutionCall call{arithmetic, transposedLattices(images, small, large, g), {weight, first * taps, {taps, row}}};
    call.in[0] = dz;
    call.out[0] = op.at(role);
    if (both) call.out[1] = op.at("dskip");
    addConvolution(c, call);
  }
}

}  // namespace semgen::cuda
