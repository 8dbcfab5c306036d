// Pooling: largest or mean of windows, and the mean over all voxels.
#include "engine/cpu/values.h"

namespace semgen::cpu {

namespace {

struct Windows {
  Dims kernel, stride, before, after;
};

/// Windows without padding; what does not fill a window at the end is left out, as PyTorch does.
Windows windowsOf(const Operation &op, const Dims &x, const Dims &y) {
  Windows windows{op.integers("kernel"), op.integers("stride"), {0, 0, 0}, {}};
  for (int axis = 0; axis < 3; ++axis) {
    int64_t expected = (x[axis + 2] - windows.kernel[axis]) / windows.stride[axis] + 1;
    if (x[axis + 2] < windows.kernel[axis] || y[axis + 2] != expected)
      throw Error("NATIVE", op.name + " does not take extents " + describe({x.begin() + 2, x.end()}) + " to " +
                                describe({y.begin() + 2, y.end()}) + ".");
    // oneDNN wants windows to end where the padded input does: a negative padding drops the rest.
    windows.after.push_back((y[axis + 2] - 1) * windows.stride[axis] + windows.kernel[axis] - x[axis + 2]);
  }
  return windows;
}

using Forward = dnnl::pooling_forward;
using Backward = dnnl::pooling_backward;

Forward::primitive_desc describeForward(CpuCompiler &c, dnnl::algorithm algorithm, const Desc &x, const Desc &y,
                                        const Windows &w) {
  Forward::desc desc(dnnl::prop_kind::forward_training, algorithm, x, y, w.stride, w.kernel, w.before, w.after);
  return {desc, CpuCompiler::attributes(), c.engine};
}

void pool(CpuCompiler &c, const Operation &op, dnnl::algorithm algorithm) {
  TensorId y = op.at("y");
  Operand x = c.operand(op.at("x"));
  auto chosen = describeForward(c, algorithm, x.desc, c.open(y), windowsOf(op, x.desc.dims(), c.dims(y)));
  Operand result = c.writing(y, chosen.dst_desc());
  CpuCompiler::Arguments arguments{{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, result}};
  if (op.has("mask")) arguments.push_back({DNNL_ARG_WORKSPACE, c.opaque(op.at("mask"), chosen.workspace_desc())});
  c.primitive(Forward(chosen), chosen.scratchpad_desc(), arguments);
  c.finishWriting(y, result);
}

void poolGrad(CpuCompiler &c, const Operation &op, dnnl::algorithm algorithm) {
  TensorId dx = op.at("dx");
  Operand dy = c.operand(op.at("dy"));
  // The mask lies as y did: dy must lie so too.
  if (op.has("mask")) dy = c.reading(dy.id, c.layoutLike(dy.id, c.operand(op.at("mask")).desc));
  Windows windows = windowsOf(op, c.dims(dx), dy.desc.dims());
  auto hint = describeForward(c, algorithm, c.layoutLike(dx, dy.desc), dy.desc, windows);
  Backward::desc desc(algorithm, hint.src_desc(), dy.desc, windows.stride, windows.kernel, windows.before,
                      windows.after);
  Backward::primitive_desc chosen(desc, CpuCompiler::attributes(), c.engine, hint);
  Operand result = c.writing(dx, chosen.diff_src_desc());
  CpuCompiler::Arguments arguments{{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_SRC, result}};
  if (op.has("mask")) arguments.push_back({DNNL_ARG_WORKSPACE, c.operand(op.at("mask"))});
  c.primitive(Backward(chosen), chosen.scratchpad_desc(), arguments);
  c.finishWriting(dx, result);
}

void maxPool(CpuCompiler &c, const Operation &op) { pool(c, op, dnnl::algorithm::pooling_max); }
void maxPoolGrad(CpuCompiler &c, const Operation &op) { poolGrad(c, op, dnnl::algorithm::pooling_max); }
void avgPool(CpuCompiler &c, const Operation &op) { pool(c, op, dnnl::algorithm::pooling_avg_exclude_padding); }
void avgPoolGrad(CpuCompiler &c, const Operation &op) { poolGrad(c, op, dnnl::algorithm::pooling_avg_exclude_padding); }

void globalAvgPool(CpuCompiler &c, const Operation &op) {
  Operand x = c.operand(op.at("x"));
  ChannelView view(x.desc);
  Operand y = c.writing(op.at("y"), Desc({view.images, view.channels}, Type::f32, Tag::ab));
  withType(x.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, x = x.id, y = y.id] {
      const T *values = c.data<T>(x);
      float *means = c.data<float>(y);
#pragma omp parallel for collapse(2) schedule(static)
      for (int64_t n = 0; n < view.images; ++n)
        for (int64_t b = 0; b < view.blocks; ++b) {
          std::vector<double> sums(size_t(view.lanes), 0.0);
          for (int64_t v = 0; v < view.voxels; ++v)
            for (int64_t lane = 0; lane < view.lanesIn(b); ++lane)
              sums[size_t(lane)] +=
                  toFloat(values[n * view.strideN + b * view.strideBlock + v * view.strideVoxel + lane]);
          for (int64_t lane = 0; lane < view.lanesIn(b); ++lane)
            means[n * view.channels + b * view.lanes + lane] = float(sums[size_t(lane)] / double(view.voxels));
        }
    });
  });
  c.finishWriting(op.at("y"), y);
}

void globalAvgPoolGrad(CpuCompiler &c, const Operation &op) {
  // The layout of the pooled tensor is the convolutions' choice for its channels; blocks of 16 serve all that read it.
  TensorId dx = op.at("dx");
  Operand dy = c.reading(op.at("dy"), Desc(c.dims(op.at("dy")), Type::f32, Tag::ab));
  Operand result = c.writing(dx, Desc(c.dims(dx), c.type(dx), Tag::nCdhw16c));
  ChannelView view(result.desc);
  withType(result.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, dy = dy.id, dx = result.id] {
      const float *means = c.data<float>(dy);
      T *gradient = c.data<T>(dx);
#pragma omp parallel for collapse(2) schedule(static)
      for (int64_t n = 0; n < view.images; ++n)
        for (int64_t b = 0; b < view.blocks; ++b)
          for (int64_t v = 0; v < view.voxels; ++v)
            for (int64_t lane = 0; lane < view.lanes; ++lane) {
              int64_t channel = b * view.lanes + lane;
              float share = channel < view.channels ? means[n * view.channels + channel] / float(view.voxels) : 0.0f;
              store(gradient + n * view.strideN + b * view.strideBlock + v * view.strideVoxel + lane, share);
            }
    });
  });
  c.finishWriting(dx, result);
}

}  // namespace

const std::vector<Registration> poolOperations = {
    {"max_pool", maxPool},          {"max_pool_grad", maxPoolGrad},     {"avg_pool", avgPool},
    {"avg_pool_grad", avgPoolGrad}, {"global_avg_pool", globalAvgPool}, {"global_avg_pool_grad", globalAvgPoolGrad},
};

}  // namespace semgen::cpu
