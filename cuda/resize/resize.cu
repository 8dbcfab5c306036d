// Resampling of activations to other extents; voxel centres lie half a voxel from the border (PyTorch's
// "nearest-exact", and trilinear with align_corners=False). An output element a thread, up to 8 reads; the gradient
// gathers over the outputs that read a voxel, so nothing is added by two threads. Memory-bound.
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

/// One axis: `from` voxels become `to`.
struct Axis {
  int from, to;
  bool linear;

  struct Pair {
    int low, high;
    float share;  // of high
  };
  /// The voxels that output voxel `at` reads.
  SEMGEN_DEVICE Pair source(int at) const {
    float centre = (float(at) + 0.5f) * float(from) / float(to);
    if (!linear) {
      int nearest = int(centre) < from ? int(centre) : from - 1;
      return {nearest, nearest, 0.0f};
    }
    float position = centre - 0.5f > 0 ? centre - 0.5f : 0.0f;
    int low = int(position) < from ? int(position) : from - 1;
    return {low, low + 1 < from ? low + 1 : low, position - float(low)};
  }
  /// What output voxel `out` takes of voxel `in`.
  SEMGEN_DEVICE float weight(int in, int out) const {
    Pair pair = source(out);
    return (pair.low == in ? 1 - pair.share : 0.0f) + (pair.high == in ? pair.share : 0.0f);
  }
  /// A range that holds all output voxels that read voxel `in`.
  SEMGEN_DEVICE int first(int in) const {
    int at = int((float(in) - 1.5f) * float(to) / float(from)) - 1;
    return at > 0 ? at : 0;
  }
  SEMGEN_DEVICE int last(int in) const {
    int at = int((float(in) + 1.5f) * float(to) / float(from)) + 1;
    return at < to ? at : to - 1;
  }
};

struct Axes {
  Axis x, y, z;
  int channels;
  int64_t images;
};

struct Resize {
  Axes a;
  Values x;
  Places y;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    int64_t rest = i;
    int channel = int(rest % a.channels);
    rest /= a.channels;
    Axis::Pair z = a.z.source(int(rest % a.z.to));
    rest /= a.z.to;
    Axis::Pair v = a.y.source(int(rest % a.y.to));
    rest /= a.y.to;
    Axis::Pair u = a.x.source(int(rest % a.x.to));
    int64_t image = rest / a.x.to;
    auto at = [&](int px, int py, int pz) {
      return x[(((image * a.x.from + px) * a.y.from + py) * a.z.from + pz) * a.channels + channel];
    };
    auto along = [&](int px, int py) { return (1 - z.share) * at(px, py, z.low) + z.share * at(px, py, z.high); };
    auto across = [&](int px) { return (1 - v.share) * along(px, v.low) + v.share * along(px, v.high); };
    y.set(i, a.x.linear ? (1 - u.share) * across(u.low) + u.share * across(u.high) : at(u.low, v.low, z.low));
  }
};

struct ResizeGrad {
  Axes a;
  Values dy;
  Places dx;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    int64_t rest = i;
    int channel = int(rest % a.channels);
    rest /= a.channels;
    int z = int(rest % a.z.from);
    rest /= a.z.from;
    int y = int(rest % a.y.from);
    rest /= a.y.from;
    int x = int(rest % a.x.from);
    int64_t image = rest / a.x.from;
    float sum = 0;
    for (int ox = a.x.first(x); ox <= a.x.last(x); ++ox) {
      float wx = a.x.weight(x, ox);
      if (wx == 0) continue;
      for (int oy = a.y.first(y); oy <= a.y.last(y); ++oy) {
        float wy = wx * a.y.weight(y, oy);
        if (wy == 0) continue;
        for (int oz = a.z.first(z); oz <= a.z.last(z); ++oz) {
          float weight = wy * a.z.weight(z, oz);
          if (weight != 0)
            sum += weight * dy[(((image * a.x.to + ox) * a.y.to + oy) * a.z.to + oz) * a.channels + channel];
        }
      }
    }
    dx.set(i, sum);
  }
};

Axes axesOf(const CudaCompiler &c, const Operation &op, const char *small, const char *large) {
  const std::string &method = op.text("method");
  if (method != "nearest" && method != "linear")
    throw Error("NATIVE", op.name + " takes method \"nearest\" or \"linear\", not \"" + method + "\".");
  const Shape &from = requireRank(c.program, op, small, 5), &to = requireRank(c.program, op, large, 5);
  requireShape(c.program, op, large, {from[0], to[1], to[2], to[3], from[4]});
  auto axis = [&](size_t i) { return Axis{int(from[i]), int(to[i]), method == "linear"}; };
  return {axis(1), axis(2), axis(3), int(from[4]), from[0]};
}

void resize(CudaCompiler &c, const Operation &op) {
  Axes axes = axesOf(c, op, "x", "y");
  c.step([&c, axes, x = op.at("x"), y = op.at("y")](cudaStream_t stream) {
    map(stream, Resize{axes, valuesOf(c, x), placesOf(c, y)}, elements(c.shape(y)));
  });
}

void resizeGrad(CudaCompiler &c, const Operation &op) {
  Axes axes = axesOf(c, op, "dx", "dy");
  c.step([&c, axes, dy = op.at("dy"), dx = op.at("dx")](cudaStream_t stream) {
    map(stream, ResizeGrad{axes, valuesOf(c, dy), placesOf(c, dx)}, elements(c.shape(dx)));
  });
}

}  // namespace

const std::vector<Registration> resizeOperations = {{"resize", resize}, {"resize_grad", resizeGrad}};

}  // namespace semgen::cuda
