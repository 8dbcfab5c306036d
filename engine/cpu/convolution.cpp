#include "engine/cpu/convolution.h"

#include <array>

#include "engine/cpu/doubling.h"
#include "engine/cpu/few_channels.h"
#include "engine/cpu/values.h"
#include "engine/cpu/winograd.h"

namespace semgen::cpu {

Operand weightsView(CpuCompiler &c, TensorId weights, bool transposed) {
  const Shape &shape = c.program.shape(weights);
  if (shape.size() != 5) throw Error("NATIVE", "Convolution weights have five extents, not " + describe(shape) + ".");
  Operand view = c.dense(weights, shape);
  return transposed ? Operand{weights, view.desc.permute_axes({1, 0, 2, 3, 4})} : view;
}

Operand inputChannels(const Operand &weights, int64_t first, int64_t count) {
  Dims extents = weights.desc.dims();
  extents[1] = count;
  return {weights.id, weights.desc.submemory_desc(extents, {0, first, 0, 0, 0})};
}

void checkInputChannels(const Operand &weights, int64_t channels) {
  if (int64_t expected = weights.desc.dims()[1]; channels != expected)
    throw Error("NATIVE", "Weights for " + std::to_string(expected) + " channels do not take inputs of " +
                              std::to_string(channels) + " in all.");
}

namespace {

struct Spatial {
  Dims stride, before, after;
};

/// Padding behind the last voxel follows from the extents: with strides, some of it may go unused.
/// Shapes are checked here for all three directions, as convolutions by tiles trust them.
Spatial spatial(const ConvGeometry &geometry, const Dims &x, const Dims &kernel, const Dims &y) {
  if (x[0] != y[0] || x[1] != kernel[1] || y[1] != kernel[0])
    throw Error("NATIVE", "A convolution of weights of " + std::to_string(kernel[1]) + " to " +
                              std::to_string(kernel[0]) + " channels does not take " + std::to_string(x[0]) + " of " +
                              std::to_string(x[1]) + " channels to " + std::to_string(y[0]) + " of " +
                              std::to_string(y[1]) + ".");
  Spatial result{geometry.stride, geometry.padding, {}};
  const Dims &in = geometry.transposed ? y : x, &out = geometry.transposed ? x : y;
  for (int axis = 0; axis < 3; ++axis) {
    int64_t stride = geometry.stride[axis], padding = geometry.padding[axis];
    int64_t expected = (in[axis + 2] + 2 * padding - kernel[axis + 2]) / stride + 1;
    bool fits = geometry.transposed ? y[axis + 2] == (x[axis + 2] - 1) * stride - 2 * padding + kernel[axis + 2]
                                    : out[axis + 2] == expected && in[axis + 2] + 2 * padding >= kernel[axis + 2];
    if (!fits)
      throw Error("NATIVE", "A convolution with kernel " + describe({kernel.begin() + 2, kernel.end()}) +
                                " does not take extents " + describe({x.begin() + 2, x.end()}) + " to " +
                                describe({y.begin() + 2, y.end()}) + ".");
    result.after.push_back((out[axis + 2] - 1) * stride + kernel[axis + 2] - in[axis + 2] - padding);
  }
  return result;
}

constexpr auto direct = dnnl::algorithm::convolution_direct;
constexpr auto transposedDirect = dnnl::algorithm::deconvolution_direct;
constexpr auto training = dnnl::prop_kind::forward_training;

/// Weights of the same extents, in a layout for oneDNN to choose.
Desc openWeights(const Operand &weights, Type type) { return Desc(weights.desc.dims(), type, Tag::any); }

template <class Forward>
typename Forward::primitive_desc describeForward(CpuCompiler &c, TensorId x, const Desc &weights, const Desc &y,
                                                 const Spatial &s, dnnl::algorithm algorithm,
                                                 const dnnl::primitive_attr &attributes) {
  typename Forward::desc desc(training, algorithm, c.open(x, y.data_type()), weights, y, s.stride, s.before, s.after);
  return {desc, attributes, c.engine};
}

template <class Forward>
void forward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, const Spatial &s,
             dnnl::algorithm algorithm, bool accumulate) {
  dnnl::primitive_attr attributes = CpuCompiler::attributes();
  if (accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  Desc target = accumulate ? c.operand(y).desc : c.open(y);
  auto chosen = describeForward<Forward>(c, x, openWeights(weights, c.type(y)), target, s, algorithm, attributes);
  Operand source = c.reading(x, chosen.src_desc());
  Operand packed = c.scratch(chosen.weights_desc());
  c.reorder(weights, packed);
  Operand result = accumulate ? c.operand(y) : c.writing(y, chosen.dst_desc());
  c.primitive(Forward(chosen), chosen.scratchpad_desc(),
              {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, result}});
  if (!accumulate) c.finishWriting(y, result);
  c.note(chosen.impl_info_str());
}

template <class Forward, class Backward>
void backwardData(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx, const Spatial &s,
                  dnnl::algorithm algorithm) {
  Desc open = openWeights(weights, c.type(dy));
  auto hint = describeForward<Forward>(c, dx, open, c.open(dy), s, algorithm, CpuCompiler::attributes());
  typename Backward::desc desc(algorithm, c.open(dx), open, c.open(dy), s.stride, s.before, s.after);
  typename Backward::primitive_desc chosen(desc, CpuCompiler::attributes(), c.engine, hint);
  Operand source = c.reading(dy, chosen.diff_dst_desc());
  Operand packed = c.scratch(chosen.weights_desc());
  c.reorder(weights, packed);
  Operand result = c.writing(dx, chosen.diff_src_desc());
  c.primitive(Backward(chosen), chosen.scratchpad_desc(),
              {{DNNL_ARG_DIFF_DST, source}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DIFF_SRC, result}});
  c.finishWriting(dx, result);
  c.note(chosen.impl_info_str());
}

template <class Forward, class Backward>
void backwardWeights(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights, const Spatial &s,
                     dnnl::algorithm algorithm) {
  auto hint = describeForward<Forward>(c, x, openWeights(dweights, c.type(dy)), c.open(dy), s, algorithm,
                                       CpuCompiler::attributes());
  typename Backward::desc desc(algorithm, c.open(x, c.type(dy)), openWeights(dweights, Type::f32), c.open(dy), s.stride,
                               s.before, s.after);
  typename Backward::primitive_desc chosen(desc, CpuCompiler::attributes(), c.engine, hint);
  Operand source = c.reading(x, chosen.src_desc());
  Operand gradient = c.reading(dy, chosen.diff_dst_desc());
  Operand packed = c.scratch(chosen.diff_weights_desc());
  c.primitive(Backward(chosen), chosen.scratchpad_desc(),
              {{DNNL_ARG_SRC, source}, {DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_DIFF_WEIGHTS, packed}});
  c.reorder(packed, dweights);
  c.note(chosen.impl_info_str());
}

}  // namespace

void convForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, const ConvGeometry &geometry,
                 bool accumulate) {
  Spatial s = spatial(geometry, c.dims(x), weights.desc.dims(), c.dims(y));
  if (winogradServes(c, x, y, weights, geometry))
    winogradForward(c, x, weights, y, geometry, accumulate);
  else if (!accumulate && doublingServes(weights, geometry))
    doublingForward(c, x, weights, y);
  else if (geometry.transposed)
    forward<dnnl::deconvolution_forward>(c, x, weights, y, s, transposedDirect, accumulate);
  else
    forward<dnnl::convolution_forward>(c, x, weights, y, s, direct, accumulate);
}

void convBackwardData(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx, const ConvGeometry &geometry) {
  Spatial s = spatial(geometry, c.dims(dx), weights.desc.dims(), c.dims(dy));
  if (winogradServes(c, dx, dy, weights, geometry))
    winogradDataGradient(c, dy, weights, dx, geometry);
  else if (geometry.transposed)
    backwardData<dnnl::deconvolution_forward, dnnl::deconvolution_backward_data>(c, dy, weights, dx, s,
                                                                                 transposedDirect);
  else
    backwardData<dnnl::convolution_forward, dnnl::convolution_backward_data>(c, dy, weights, dx, s, direct);
}

void convBackwardWeights(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights,
                         const ConvGeometry &geometry) {
  Spatial s = spatial(geometry, c.dims(x), dweights.desc.dims(), c.dims(dy));
  if (winogradServes(c, x, dy, dweights, geometry))
    winogradWeightGradient(c, x, dy, dweights, geometry);
  else if (fewChannelsServe(c, x, dy, dweights, geometry))
    fewChannelsWeightGradient(c, x, dy, dweights);
  else if (geometry.transposed)
    backwardWeights<dnnl::deconvolution_forward, dnnl::deconvolution_backward_weights>(c, x, dy, dweights, s,
                                                                                       transposedDirect);
  else
    backwardWeights<dnnl::convolution_forward, dnnl::convolution_backward_weights>(c, x, dy, dweights, s, direct);
}

void addBias(CpuCompiler &c, TensorId y, TensorId bias) {
  Operand operand = c.operand(y);
  ChannelView view(operand.desc);
  c.dense(bias, {view.channels});  // refuses another size
  withType(operand.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, y, bias] {
      T *values = c.data<T>(y);
      const float *terms = c.data<float>(bias);
#pragma omp parallel for collapse(2) schedule(static)
      for (int64_t n = 0; n < view.images; ++n)
        for (int64_t v = 0; v < view.voxels; ++v)
          for (int64_t b = 0; b < view.blocks; ++b) {
            T *run = values + n * view.strideN + b * view.strideBlock + v * view.strideVoxel;
            int64_t count = view.lanesIn(b);
            for (int64_t lane = 0; lane < count; ++lane)
              store(run + lane, toFloat(run[lane]) + terms[b * view.lanes + lane]);
          }
    });
  });
}

void sumOverVoxels(CpuCompiler &c, TensorId dy, TensorId dbias) {
  Operand operand = c.operand(dy);
  ChannelView view(operand.desc);
  c.dense(dbias, {view.channels});  // refuses another size
  withType(operand.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, dy, dbias] {
      const T *values = c.data<T>(dy);
      float *sums = c.data<float>(dbias);
      // One thread sums one channel block over everything, in order: the same bits whatever the number of threads.
#pragma omp parallel for schedule(static)
      for (int64_t b = 0; b < view.blocks; ++b) {
        int64_t count = view.lanesIn(b);
        std::array<double, mostLanes> total{};
        for (int64_t n = 0; n < view.images; ++n)
          for (int64_t v = 0; v < view.voxels; ++v) {
            const T *run = values + n * view.strideN + b * view.strideBlock + v * view.strideVoxel;
            for (int64_t lane = 0; lane < count; ++lane) total[size_t(lane)] += toFloat(run[lane]);
          }
        for (int64_t lane = 0; lane < count; ++lane) sums[b * view.lanes + lane] = float(total[size_t(lane)]);
      }
    });
  });
}

ConvGeometry geometryOf(const Operation &operation, bool transposed) {
  ConvGeometry geometry{operation.integers("stride"), operation.integers("padding"), transposed};
  bool fits = geometry.stride.size() == 3 && geometry.padding.size() == 3;
  for (size_t axis = 0; fits && axis < 3; ++axis) fits = geometry.stride[axis] >= 1 && geometry.padding[axis] >= 0;
  if (!fits)
    throw Error("NATIVE", operation.name + " takes three strides from 1 and three paddings from 0, not " +
                              describe(geometry.stride) + " and " + describe(geometry.padding) + ".");
  return geometry;
}

void convInputs(CpuCompiler &c, const Operation &op, TensorId z, const ConvGeometry &geometry) {
  Operand weights = weightsView(c, op.at("weight"), false);
  TensorId x = op.at("x");
  if (!op.has("skip")) return convForward(c, x, weights, z, geometry, false);
  TensorId skip = op.at("skip");
  int64_t channels = c.dims(x)[1], skipped = c.dims(skip)[1];
  checkInputChannels(weights, channels + skipped);
  convForward(c, x, inputChannels(weights, 0, channels), z, geometry, false);
  convForward(c, skip, inputChannels(weights, channels, skipped), z, geometry, true);
}

void convGradients(CpuCompiler &c, const Operation &op, TensorId dz, const ConvGeometry &geometry) {
  Operand weights = weightsView(c, op.at("weight"), false), dweights = weightsView(c, op.at("dweight"), false);
  int64_t first = 0;
  for (auto [input, gradient] : {std::pair{"x", "dx"}, {"skip", "dskip"}}) {
    if (!op.has(input)) continue;
    TensorId x = op.at(input);
    int64_t count = c.dims(x)[1];
    convBackwardWeights(c, x, dz, inputChannels(dweights, first, count), geometry);
    if (op.has(gradient)) convBackwardData(c, dz, inputChannels(weights, first, count), op.at(gradient), geometry);
    first += count;
  }
  checkInputChannels(dweights, first);
}

static void conv3d(CpuCompiler &c, const Operation &op) {
  convInputs(c, op, op.at("y"), geometryOf(op, false));
  if (op.has("bias")) addBias(c, op.at("y"), op.at("bias"));
}

static void conv3dGrad(CpuCompiler &c, const Operation &op) {
  convGradients(c, op, op.at("dy"), geometryOf(op, false));
  if (op.has("dbias")) sumOverVoxels(c, op.at("dy"), op.at("dbias"));
}

static void convTranspose3d(CpuCompiler &c, const Operation &op) {
  convForward(c, op.at("x"), weightsView(c, op.at("weight"), true), op.at("y"), geometryOf(op, true), false);
  if (op.has("bias")) addBias(c, op.at("y"), op.at("bias"));
}

static void convTranspose3dGrad(CpuCompiler &c, const Operation &op) {
  ConvGeometry geometry = geometryOf(op, true);
  convBackwardWeights(c, op.at("x"), op.at("dy"), weightsView(c, op.at("dweight"), true), geometry);
  if (op.has("dx")) convBackwardData(c, op.at("dy"), weightsView(c, op.at("weight"), true), op.at("dx"), geometry);
  if (op.has("dbias")) sumOverVoxels(c, op.at("dy"), op.at("dbias"));
}

const std::vector<Registration> convolutionOperations = {
    {"conv3d", conv3d},
    {"conv3d_grad", conv3dGrad},
    {"conv_transpose3d", convTranspose3d},
    {"conv_transpose3d_grad", convTranspose3dGrad},
};

}  // namespace semgen::cpu
