// Pooling: largest or mean of windows, and the mean over all voxels.
#include <array>

#include "engine/checks.h"
#include "engine/cpu/rows.h"

namespace semgen::cpu {

namespace {

struct Windows {
  Dims kernel, stride, before, after;
};

/// Windows without padding; what does not fill a window at the end is left out, as PyTorch does.
Windows windowsOf(CpuCompiler &c, const Operation &op, const char *large, const char *small) {
  const Shape &x = requireRank(c.program, op, large, 5), &y = requireRank(c.program, op, small, 5);
  Windows windows{op.integers("kernel"), op.integers("stride"), {0, 0, 0}, {}};
  bool fits = windows.kernel.size() == 3 && windows.stride.size() == 3 && x[0] == y[0] && x[4] == y[4];
  for (size_t axis = 0; fits && axis < 3; ++axis) {
    int64_t kernel = windows.kernel[axis], stride = windows.stride[axis], extent = x[axis + 1];
    fits = kernel >= 1 && stride >= 1 && extent >= kernel && y[axis + 1] == (extent - kernel) / stride + 1;
    // oneDNN wants windows to end where the padded input does: a negative padding drops the rest.
    windows.after.push_back(fits ? (y[axis + 1] - 1) * stride + kernel - extent : 0);
  }
  if (!fits)
    throw Error("NATIVE", op.name + " with windows of " + describe(windows.kernel) + " every " +
                              describe(windows.stride) + " does not go between " + describe(x) + " and " + describe(y) +
                              ".");
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
  auto chosen = describeForward(c, algorithm, x.desc, c.open(y), windowsOf(c, op, "x", "y"));
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
  Windows windows = windowsOf(c, op, "dx", "dy");
  auto hint = describeForward(c, algorithm, c.layoutLike(dx, dy.desc), dy.desc, windows);
  Backward::desc desc(algorithm, hint.src_desc(), dy.desc, windows.stride, windows.kernel, windows.before,
                      windows.after);
  Backward::primitive_desc chosen(desc, CpuCompiler::attributes(), c.engine, hint);
  Operand result = c.writing(dx, chosen.diff_src_desc());
  CpuCompiler::Arguments arguments{{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_SRC, result}};
  if (op.has("mask")) {
    Operand mask = c.operand(op.at("mask"));
    if (mask.desc != hint.workspace_desc()) throw Error("NATIVE", op.name + " was given the mask of another pooling.");
    arguments.push_back({DNNL_ARG_WORKSPACE, mask});
  }
  c.primitive(Backward(chosen), chosen.scratchpad_desc(), arguments);
  c.finishWriting(dx, result);
}

void maxPool(CpuCompiler &c, const Operation &op) { pool(c, op, dnnl::algorithm::pooling_max); }
void maxPoolGrad(CpuCompiler &c, const Operation &op) { poolGrad(c, op, dnnl::algorithm::pooling_max); }
void avgPool(CpuCompiler &c, const Operation &op) { pool(c, op, dnnl::algorithm::pooling_avg_exclude_padding); }
void avgPoolGrad(CpuCompiler &c, const Operation &op) { poolGrad(c, op, dnnl::algorithm::pooling_avg_exclude_padding); }

void globalAvgPool(CpuCompiler &c, const Operation &op) {
  const Shape &shape = requireRank(c.program, op, "x", 5);
  requireShape(c.program, op, "y", {shape[0], shape[4]});
  Operand x = c.operand(op.at("x"));
  ChannelView view(x.desc);
  Operand y = c.writing(op.at("y"), Desc({view.images, view.channels}, Type::f32, Tag::ab));
  // One thread sums a run of channels of one image, in order: the same bits on any number of threads.
  withType(x.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, x = x.id, y = y.id] {
      const T *values = c.data<T>(x);
      float *means = c.data<float>(y);
#pragma omp parallel for collapse(2) schedule(static)
      for (int64_t n = 0; n < view.images; ++n)
        for (int64_t b = 0; b < view.blocks; ++b) {
          int64_t count = view.lanesIn(b);
          const T *run = values + n * view.strideN + b * view.strideBlock;
          std::array<double, mostLanes> sums{};
          for (int64_t v = 0; v < view.voxels; ++v, run += view.strideVoxel)
            for (int64_t lane = 0; lane < count; ++lane) sums[size_t(lane)] += toFloat(run[lane]);
          float *to = means + n * view.channels + b * view.lanes;
          for (int64_t lane = 0; lane < count; ++lane) to[lane] = float(sums[size_t(lane)] / double(view.voxels));
        }
    });
  });
  c.finishWriting(op.at("y"), y);
}

/// The layout in which oneDNN's convolutions keep an activation: those that wrote what was pooled read its gradient.
Desc convolutionLayout(CpuCompiler &c, TensorId id) {
  int64_t channels = c.dims(id)[1];
  Desc weights({channels, channels, 3, 3, 3}, c.type(id), Tag::any);
  Dims ones{1, 1, 1};
  dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
                                       c.open(id), weights, c.open(id), ones, ones, ones);
  return dnnl::convolution_forward::primitive_desc(desc, CpuCompiler::attributes(), c.engine).dst_desc();
}

void globalAvgPoolGrad(CpuCompiler &c, const Operation &op) {
  const Shape &shape = requireRank(c.program, op, "dx", 5);
  requireShape(c.program, op, "dy", {shape[0], shape[4]});
  Rows dy(c, c.operand(op.at("dy"))), dx(c, c.place(op.at("dx"), convolutionLayout(c, op.at("dx"))));
  int64_t images = dy.positions(), channels = dy.channels(), voxels = dx.positions() / images;
  TensorId memory = c.program.scratch(size_t(images * channels) * sizeof(float));
  c.loop([=, &c] {
    float *shares = c.data<float>(memory);
    dy.load(0, images, shares);
    for (int64_t i = 0; i < images * channels; ++i) shares[i] /= float(voxels);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < images * voxels; ++i) dx.store(i, i + 1, shares + i / voxels * channels);
  });
}

}  // namespace

const std::vector<Registration> poolOperations = {
    {"max_pool", maxPool},          {"max_pool_grad", maxPoolGrad},     {"avg_pool", avgPool},
    {"avg_pool_grad", avgPoolGrad}, {"global_avg_pool", globalAvgPool}, {"global_avg_pool_grad", globalAvgPoolGrad},
};

}  // namespace semgen::cpu
