#include "engine/cpu/few_channels.h"

#include <algorithm>

#include "engine/cpu/values.h"
#include "engine/cpu/winograd.h"
#include "engine/host/clones.h"

namespace semgen::cpu {

namespace {

constexpr int64_t taps = 27, planeTaps = 9;

/// Sums of x dy over a plane of voxels, for the taps of one x and eight channels of dy. The row of x that belongs to
/// tap 0 of voxel (0, 0) begins at `x`, with a zero, or a neighbour, at either end.
SEMGEN_CLONES void sumPlane(const float *x, int64_t rowOfX, const float *dy, int64_t strideVoxel, int64_t rows,
                            int64_t length, Lanes *result) {
  Lanes sums[planeTaps] = {};
  for (int64_t y = 0; y < rows; ++y)
    for (int64_t z = 0; z < length; ++z, dy += strideVoxel) {
      const float *at = x + y * rowOfX + z;
      Lanes gradient = *reinterpret_cast<const Lanes *>(dy);
      for (int tap = 0; tap < planeTaps; ++tap) sums[tap] += at[tap / 3 * rowOfX + tap % 3] * gradient;
    }
  std::copy_n(sums, planeTaps, result);
}

/// What is read, with zeros around each image's channel, and the sums of each plane.
struct Gradient {
  CpuCompiler &c;
  TensorId xId, dyId;
  ChannelView x, dy;
  Dims extents;
  Operand dweights;
  TensorId padded, sums;

  int64_t groups() const { return dy.channels / kLanes; }
  int64_t rowOfX() const { return extents[4] + 2; }
  int64_t planeOfX() const { return (extents[3] + 2) * rowOfX(); }
  int64_t imageOfX() const { return (extents[2] + 2) * planeOfX(); }

  void pad() const {
    const float *from = c.data<const float>(xId);
    float *to = c.data<float>(padded);
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t image = 0; image < x.images * x.channels; ++image)
      for (int64_t plane = -1; plane <= extents[2]; ++plane) {
        float *values = to + image * imageOfX() + (plane + 1) * planeOfX();
        std::fill_n(values, planeOfX(), 0.0f);
        if (plane < 0 || plane == extents[2]) continue;
        for (int64_t y = 0; y < extents[3]; ++y)
          for (int64_t z = 0; z < extents[4]; ++z)
            values[(y + 1) * rowOfX() + z + 1] =
                from[x.at(image / x.channels, image % x.channels, (plane * extents[3] + y) * extents[4] + z)];
      }
  }

  /// [image][plane][eight channels of dy][channel of x][tap]: what is added up in which order depends on extents alone.
  Lanes *sumsOf(int64_t image, int64_t plane, int64_t group) const {
    return reinterpret_cast<Lanes *>(c.data<float>(sums)) +
           ((image * extents[2] + plane) * groups() + group) * x.channels * taps;
  }

  void sumPlanes() const {
    const float *values = c.data<const float>(padded), *gradient = c.data<const float>(dyId);
#pragma omp parallel for collapse(3) schedule(static)
    for (int64_t image = 0; image < x.images; ++image)
      for (int64_t plane = 0; plane < extents[2]; ++plane)
        for (int64_t group = 0; group < groups(); ++group)
          for (int64_t i = 0; i < x.channels * 3; ++i)
            sumPlane(values + (image * x.channels + i / 3) * imageOfX() + (plane + i % 3) * planeOfX(), rowOfX(),
                     gradient + dy.at(image, group * kLanes, plane * extents[3] * extents[4]), dy.strideVoxel,
                     extents[3], extents[4], sumsOf(image, plane, group) + i * planeTaps);
  }

  void addUp() const {
    const auto &md = dweights.desc.data;
    const auto &strides = md.format_desc.blocking.strides;
    float *result = c.data<float>(dweights.id) + md.offset0;
    for (int64_t out = 0; out < dy.channels; ++out)
      for (int64_t i = 0; i < x.channels * taps; ++i) {
        double total = 0;
        for (int64_t image = 0; image < x.images; ++image)
          for (int64_t plane = 0; plane < extents[2]; ++plane)
            total += sumsOf(image, plane, out / kLanes)[i][out % kLanes];
        int64_t in = i / taps, tap = i % taps;
        result[out * strides[0] + in * strides[1] + tap / 9 * strides[2] + tap / 3 % 3 * strides[3] +
               tap % 3 * strides[4]] = float(total);
      }
  }
};

}  // namespace

bool fewChannelsServe(const CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights,
                      const ConvGeometry &geometry) {
  Dims kernel = dweights.desc.dims();
  bool fits = geometry == winogradSame && Dims(kernel.begin() + 2, kernel.end()) == Dims(3, 3) && kernel[1] < kLanes;
  if (!fits || hasAvx512() || c.type(x) != Type::f32 || c.type(dy) != Type::f32) return false;
  ChannelView gradient(c.operand(dy).desc);
  return gradient.lanes % kLanes == 0 && gradient.channels % gradient.lanes == 0;
}

void fewChannelsWeightGradient(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights) {
  Gradient of{c, x, dy, ChannelView(c.operand(x).desc), ChannelView(c.operand(dy).desc), c.dims(x), dweights, {}, {}};
  int64_t images = of.x.images * of.x.channels;
  of.padded = c.program.scratch(size_t(images * of.imageOfX()) * sizeof(float));
  of.sums = c.program.scratch(size_t(images * of.extents[2] * of.groups() * taps) * sizeof(Lanes));
  c.loop([of] {
    of.pad();
    of.sumPlanes();
    of.addUp();
  });
  c.note("few channels");
}

}  // namespace semgen::cpu
