// The decoder's first unit: transposed convolution k2 s2, concatenation with the skip, convolution, normalisation,
// ReLU; either as written ("two-step") or with the first two convolutions folded into one ("composed": compose.h).
#include <array>
#include <cstring>

#include "engine/cpu/compose.h"
#include "engine/cpu/convolution.h"
#include "engine/cpu/doubling.h"
#include "engine/cpu/norm.h"
#include "engine/cpu/unit.h"
#include "engine/cpu/values.h"
#include "engine/cpu/winograd.h"

namespace semgen::cpu {

namespace {

const ConvGeometry &composedGeometry = winogradDoubling, &same = winogradSame;

bool isComposed(CpuCompiler &c, const Operation &op) {
  const Shape &up = c.program.shape(op.at("up_weight")), &conv = c.program.shape(op.at("weight"));
  Shape kernel(conv.begin() + 2, conv.end());
  const std::string &decoder = op.text("decoder");
  if (decoder == "two-step") return false;
  bool possible = kernel == Shape{3, 3, 3} && Shape(up.begin() + 2, up.end()) == Shape{2, 2, 2};
  if (!possible) throw Error("NATIVE", "up_unit takes a 2x2x2 transposed convolution and a 3x3x3 convolution.");
  if (decoder == "composed") return true;
  if (decoder != "auto")
    throw Error("NATIVE", "up_unit takes decoder \"auto\", \"composed\" or \"two-step\", not \"" + decoder + "\".");
  Dims x = c.dims(op.at("x")), z = c.dims(op.at("z"));
  Type type = c.type(op.at("z"));
  // Composing multiplies small matrices in float32, whatever the type, and transforms as much: as measured on Zen 4.
  Composition::Rates rates{winogradShare(type, up[0], conv[0], x, true), winogradShare(type, up[1], conv[0], z, false),
                           type == Type::bf16 ? 1.8 : 1.2};
  return Composition::cheaper(up[0], up[1], conv[0], elements(z) / conv[0], rates);
}

/// Calls body(kind, first, count) for each run of voxels of one kind along z, of every row of every image.
template <class Body>
void forKinds(const Dims &extents, int64_t n, Body &&body) {
  auto axis = [](int64_t at, int64_t length) { return at == 0 ? 0 : at == length - 1 ? 2 : 1; };
  int64_t length = extents[4];
  for (int64_t x = 0; x < extents[2]; ++x)
    for (int64_t y = 0; y < extents[3]; ++y) {
      int row = 9 * axis(x, extents[2]) + 3 * axis(y, extents[3]);
      int64_t first = (x * extents[3] + y) * length;
      body(n, row, first, int64_t{1});
      body(n, row + 1, first + 1, length - 2);
      body(n, row + 2, first + length - 1, int64_t{1});
    }
}

/// z += table[kind] - table[interior] at the border; what is left is one shift for all, which the norm folds in.
void addBorderBias(CpuCompiler &c, TensorId z, TensorId table) {
  Operand operand = c.operand(z);
  ChannelView view(operand.desc);
  Dims extents = operand.desc.dims();
  withType(operand.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, extents, z, table] {
      T *values = c.data<T>(z);
      const float *terms = c.data<float>(table);
#pragma omp parallel for collapse(2) schedule(static)
      for (int64_t n = 0; n < view.images; ++n)
        for (int64_t b = 0; b < view.blocks; ++b)
          forKinds(extents, n, [&](int64_t image, int kind, int64_t first, int64_t count) {
            if (kind == interiorKind) return;
            const float *term = terms + kind * view.channels + b * view.lanes;
            const float *interior = terms + interiorKind * view.channels + b * view.lanes;
            for (int64_t v = first; v < first + count; ++v) {
              T *run = values + image * view.strideN + b * view.strideBlock + v * view.strideVoxel;
              for (int64_t lane = 0; lane < view.lanesIn(b); ++lane)
                store(run + lane, toFloat(run[lane]) + (term[lane] - interior[lane]));
            }
          });
    });
  });
}

/// sums [27, C] of dz by kind of voxel. One thread a channel block, in order: the same bits on any number of threads.
void sumByKind(CpuCompiler &c, TensorId dz, TensorId sums) {
  Operand operand = c.operand(dz);
  ChannelView view(operand.desc);
  Dims extents = operand.desc.dims();
  withType(operand.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, extents, dz, sums] {
      const T *values = c.data<T>(dz);
      float *results = c.data<float>(sums);
#pragma omp parallel for schedule(static)
      for (int64_t b = 0; b < view.blocks; ++b) {
        int64_t lanes = view.lanesIn(b);
        std::array<std::array<double, mostLanes>, 27> totals{};
        for (int64_t n = 0; n < view.images; ++n)
          forKinds(extents, n, [&](int64_t image, int kind, int64_t first, int64_t count) {
            // A row in float32, rows in float64: fast, and exact enough for 10^8 voxels.
            std::array<float, mostLanes> partial{};
            for (int64_t v = first; v < first + count; ++v) {
              const T *run = values + image * view.strideN + b * view.strideBlock + v * view.strideVoxel;
              for (int64_t lane = 0; lane < lanes; ++lane) partial[size_t(lane)] += toFloat(run[lane]);
            }
            for (int64_t lane = 0; lane < lanes; ++lane) totals[size_t(kind)][size_t(lane)] += partial[size_t(lane)];
          });
        for (int kind = 0; kind < 27; ++kind)
          for (int64_t lane = 0; lane < lanes; ++lane)
            results[kind * view.channels + b * view.lanes + lane] = float(totals[size_t(kind)][size_t(lane)]);
      }
    });
  });
}

TensorId floats(CpuCompiler &c, Shape shape) {
  size_t bytes = size_t(elements(shape)) * sizeof(float);
  return c.program.scratch(bytes, std::move(shape));
}

/// Whether composed weights stay for the gradient, in what the operation hands on of the upsampled tensor.
bool keepsComposed(CpuCompiler &c, const Operation &op) { return op.has("up") && !c.program.persistent(op.at("up")); }

/// The composed weights as a transposed convolution takes them.
Operand composedWeights(CpuCompiler &c, const Operation &op, const Composition &k) {
  Desc dense({k.in, k.out, 4, 4, 4}, Type::f32, Tag::abcde);
  TensorId id = keepsComposed(c, op) ? op.at("up") : c.program.scratch(dense.get_size());
  c.program.resize(id, dense.get_size());
  return {id, dense.permute_axes({1, 0, 2, 3, 4})};
}

void checkSkip(CpuCompiler &c, const Operation &op) {
  Dims x = c.dims(op.at("x")), skip = c.dims(op.at("skip"));
  for (int axis = 2; axis < 5; ++axis)
    if (skip[axis] != 2 * x[axis])
      throw Error("NATIVE", "up_unit needs a skip of twice the extents of x, not " +
                                describe(c.program.shape(op.at("skip"))) + " beside " +
                                describe(c.program.shape(op.at("x"))) + ".");
  checkInputChannels(weightsView(c, op.at("weight"), false), c.program.shape(op.at("up_weight"))[1] + skip[1]);
}

}  // namespace

void upUnit(CpuCompiler &c, const Operation &op) {
  checkSkip(c, op);
  TensorId z = op.at("z"), skip = op.at("skip");
  const Shape upWeight = c.program.shape(op.at("up_weight"));
  Operand conv = weightsView(c, op.at("weight"), false);
  Operand skipWeights = inputChannels(conv, upWeight[1], c.dims(skip)[1]);
  if (!isComposed(c, op)) {
    c.note("two-step");
    TensorId up = op.at("up");
    Operand upWeights = inputChannels(conv, 0, upWeight[1]);
    if (winogradServes(c, up, z, upWeights, same)) winogradLay(c, up);
    convForward(c, op.at("x"), weightsView(c, op.at("up_weight"), true), up, doubling, false);
    addBias(c, up, op.at("up_bias"));
    convForward(c, up, upWeights, z, same, false);
    convForward(c, skip, skipWeights, z, same, true);
    return normForward(c, op, {op.at("bias")});
  }
  c.note("composed");
  Composition shape = composition(c, op);
  Operand composed = composedWeights(c, op, shape);
  TensorId table = floats(c, {27, shape.out}), interior = floats(c, {shape.out});
  composeWeights(c, shape, composed.id);
  convForward(c, op.at("x"), composed, z, composedGeometry, false);
  convForward(c, skip, skipWeights, z, same, true);
  composeBias(c, shape, table);
  addBorderBias(c, z, table);
  c.loop([&c, table, interior, channels = shape.out] {
    std::memcpy(c.data<float>(interior), c.data<float>(table) + interiorKind * channels,
                size_t(channels) * sizeof(float));
  });
  normForward(c, op, {op.at("bias"), interior});
}

void upUnitGrad(CpuCompiler &c, const Operation &op) {
  checkSkip(c, op);
  TensorId x = op.at("x"), skip = op.at("skip");
  int64_t middle = c.program.shape(op.at("up_weight"))[1], skipChannels = c.dims(skip)[1];
  Operand conv = weightsView(c, op.at("weight"), false), dconv = weightsView(c, op.at("dweight"), false);
  TensorId dz = normBackward(c, op);
  biasGradient(c, op, dz);
  convBackwardWeights(c, skip, dz, inputChannels(dconv, middle, skipChannels), same);
  if (op.has("dskip")) convBackwardData(c, dz, inputChannels(conv, middle, skipChannels), op.at("dskip"), same);

  if (!isComposed(c, op)) {
    TensorId up = op.at("up");
    Operand du = c.scratchLike(up, c.operand(up).desc);
    convBackwardWeights(c, up, dz, inputChannels(dconv, 0, middle), same);
    convBackwardData(c, dz, inputChannels(conv, 0, middle), du.id, same);
    sumOverVoxels(c, du.id, op.at("dup_bias"));
    convBackwardWeights(c, x, du.id, weightsView(c, op.at("dup_weight"), true), doubling);
    if (op.has("dx")) convBackwardData(c, du.id, weightsView(c, op.at("up_weight"), true), op.at("dx"), doubling);
    return;
  }
  Composition shape = composition(c, op);
  TensorId dcomposed = floats(c, {shape.in, shape.out, 4, 4, 4});
  TensorId sums = floats(c, {27, shape.out});
  convBackwardWeights(c, x, dz, weightsView(c, dcomposed, true), composedGeometry);
  composeBackward(c, shape, dcomposed, op.at("dup_weight"), op.at("dweight"));
  sumByKind(c, dz, sums);
  composeBiasBackward(c, shape, sums, op.at("dup_bias"), op.at("dweight"));
  if (!op.has("dx")) return;
  Operand composed = composedWeights(c, op, shape);
  if (!keepsComposed(c, op)) composeWeights(c, shape, composed.id);
  convBackwardData(c, dz, composed, op.at("dx"), composedGeometry);
}

}  // namespace semgen::cpu
