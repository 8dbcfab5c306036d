// Pooling of windows, and the mean over all voxels. N, X, Y, Z, C; one output element a thread, neighbouring threads at
// neighbouring channels. Memory-bound: a window's elements are read once where windows do not overlap.
//
// Windows have no padding, and what does not fill one at the end is left out, as PyTorch does. max_pool's mask is the
// place of the largest within its window, the first of equals, 16 bits. Gradients gather: an input voxel asks the
// windows that hold it, so nothing is added by two threads.
#include "cuda/conv3d/pieces.h"
#include "cuda/pool/halving.h"
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

struct Voxel {
  int64_t n;
  int x, y, z, channel;
};

/// Windows of a large activation, one for each voxel of a small one.
struct Windows {
  int large[3], small[3], kernel[3], stride[3];
  int64_t images;
  int channels;

  int64_t count(const int (&extents)[3]) const { return images * extents[0] * extents[1] * extents[2] * channels; }
  SEMGEN_DEVICE Voxel voxel(int64_t i, const int (&extents)[3]) const {
    Voxel v;
    v.channel = int(i % channels), i /= channels;
    v.z = int(i % extents[2]), i /= extents[2];
    v.y = int(i % extents[1]), i /= extents[1];
    v.x = int(i % extents[0]), v.n = i / extents[0];
    return v;
  }
  SEMGEN_DEVICE int64_t index(int64_t n, int x, int y, int z, int channel, const int (&extents)[3]) const {
    return (((n * extents[0] + x) * extents[1] + y) * extents[2] + z) * channels + channel;
  }
  /// The windows that hold position `at` of an axis: from the first of them to the last, both included.
  SEMGEN_DEVICE int firstWindow(int at, int axis) const {
    int reach = at - kernel[axis] + 1;
    return reach <= 0 ? 0 : (reach + stride[axis] - 1) / stride[axis];
  }
  SEMGEN_DEVICE int lastWindow(int at, int axis) const {
    int last = at / stride[axis];
    return last < small[axis] ? last : small[axis] - 1;
  }
};

struct MaxPool {
  Windows w;
  Values x;
  Places y;
  uint16_t *mask;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    Voxel v = w.voxel(i, w.small);
    float largest = 0;
    int place = -1, at = 0;
    for (int kx = 0; kx < w.kernel[0]; ++kx)
      for (int ky = 0; ky < w.kernel[1]; ++ky)
        for (int kz = 0; kz < w.kernel[2]; ++kz, ++at) {
          float value = x[w.index(v.n, v.x * w.stride[0] + kx, v.y * w.stride[1] + ky, v.z * w.stride[2] + kz,
                                  v.channel, w.large)];
          if (place >= 0 && !(value > largest)) continue;
          largest = value;
          place = at;
        }
    y.set(i, largest);
    mask[i] = uint16_t(place);
  }
};

struct MaxPoolGrad {
  Windows w;
  const uint16_t *mask;
  Values dy;
  Places dx;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    Voxel v = w.voxel(i, w.large);
    float sum = 0;
    for (int x = w.firstWindow(v.x, 0); x <= w.lastWindow(v.x, 0); ++x)
      for (int y = w.firstWindow(v.y, 1); y <= w.lastWindow(v.y, 1); ++y)
        for (int z = w.firstWindow(v.z, 2); z <= w.lastWindow(v.z, 2); ++z) {
          int64_t window = w.index(v.n, x, y, z, v.channel, w.small);
          int place =
              ((v.x - x * w.stride[0]) * w.kernel[1] + v.y - y * w.stride[1]) * w.kernel[2] + v.z - z * w.stride[2];
          if (int(mask[window]) == place) sum += dy[window];
        }
    dx.set(i, sum);
  }
};

struct AvgPool {
  Windows w;
  Values x;
  Places y;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    Voxel v = w.voxel(i, w.small);
    float sum = 0;
    for (int kx = 0; kx < w.kernel[0]; ++kx)
      for (int ky = 0; ky < w.kernel[1]; ++ky)
        for (int kz = 0; kz < w.kernel[2]; ++kz)
          sum += x[w.index(v.n, v.x * w.stride[0] + kx, v.y * w.stride[1] + ky, v.z * w.stride[2] + kz, v.channel,
                           w.large)];
    y.set(i, sum / float(w.kernel[0] * w.kernel[1] * w.kernel[2]));
  }
};

struct AvgPoolGrad {
  Windows w;
  Values dy;
  Places dx;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    Voxel v = w.voxel(i, w.large);
    float sum = 0;
    for (int x = w.firstWindow(v.x, 0); x <= w.lastWindow(v.x, 0); ++x)
      for (int y = w.firstWindow(v.y, 1); y <= w.lastWindow(v.y, 1); ++y)
        for (int z = w.firstWindow(v.z, 2); z <= w.lastWindow(v.z, 2); ++z)
          sum += dy[w.index(v.n, x, y, z, v.channel, w.small)];
    dx.set(i, sum / float(w.kernel[0] * w.kernel[1] * w.kernel[2]));
  }
};

Windows windowsOf(const CudaCompiler &c, const Operation &op, const char *large, const char *small) {
  const Shape &x = requireRank(c.program, op, large, 5), &y = requireRank(c.program, op, small, 5);
  auto kernel = op.integers("kernel"), stride = op.integers("stride");
  Windows windows{};
  windows.images = x[0];
  windows.channels = int(x[4]);
  bool fits = kernel.size() == 3 && stride.size() == 3 && x[0] == y[0] && x[4] == y[4];
  for (size_t axis = 0; fits && axis < 3; ++axis) {
    fits = kernel[axis] >= 1 && stride[axis] >= 1 && x[axis + 1] >= kernel[axis] &&
           y[axis + 1] == (x[axis + 1] - kernel[axis]) / stride[axis] + 1;
    windows.large[axis] = int(x[axis + 1]);
    windows.small[axis] = int(y[axis + 1]);
    windows.kernel[axis] = int(kernel[axis]);
    windows.stride[axis] = int(stride[axis]);
  }
  if (!fits || kernel[0] * kernel[1] * kernel[2] > 65536)
    throw Error("NATIVE", op.name + " with windows of " + describe(kernel) + " every " + describe(stride) +
                              " does not go between " + describe(x) + " and " + describe(y) + ".");
  return windows;
}

size_t maskBytes(const Windows &w) { return size_t(w.count(w.small)) * sizeof(uint16_t); }

void maxPool(CudaCompiler &c, const Operation &op) {
  Windows w = windowsOf(c, op, "x", "y");
  c.opaque(op.at("mask"), maskBytes(w));
  if (halves(c, op)) {
    const UnwrittenUnit *unit = c.unwritten<UnwrittenUnit>(op.at("x"));
    TensorId x = unit ? unit->z : op.at("x"), affine = unit ? unit->affine : none;
    return c.step(
        [&c, x, affine, shape = halvingOf(c, op.at("y")), y = op.at("y"), mask = op.at("mask")](cudaStream_t stream) {
          halve(stream, shape, c.data(x), affine == none ? nullptr : c.data<float2>(affine), c.data(y), c.data(mask));
        });
  }
  c.step([&c, w, x = op.at("x"), y = op.at("y"), mask = op.at("mask")](cudaStream_t stream) {
    map(stream, MaxPool{w, valuesOf(c, x), placesOf(c, y), c.data<uint16_t>(mask)}, w.count(w.small));
  });
}

/// Whether one addition to a tensor that lies in memory, all in bfloat16, is all that reads it.
bool isAddedTo(CudaCompiler &c, TensorId dx) {
  auto readers = c.program.readers(dx);
  if (c.program.persistent(dx) || readers.size() != 1 || readers[0].operation->name != "add") return false;
  const Operation &add = *readers[0].operation;
  TensorId other = add.at(readers[0].role == "a" ? "b" : "a"), y = add.at("y");
  return !c.unwritten<UnwrittenPoolGradient>(other) && c.floats(other) == DType::bf16 && c.floats(y) == DType::bf16 &&
         c.shape(other) == c.shape(dx) && c.shape(y) == c.shape(dx);
}

void maxPoolGrad(CudaCompiler &c, const Operation &op) {
  Windows w = windowsOf(c, op, "dx", "dy");
  if (c.program.bytes(op.at("mask")) != maskBytes(w))
    throw Error("NATIVE", "max_pool_grad was given the mask of another pooling.");
  if (halves(c, op)) {
    if (isAddedTo(c, op.at("dx")))
      return c.leaveUnwritten(op.at("dx"), UnwrittenPoolGradient{op.at("mask"), op.at("dy")});
    return c.step([&c, shape = halvingOf(c, op.at("dy")), mask = op.at("mask"), dy = op.at("dy"), dx = op.at("dx")](
                      cudaStream_t stream) { spread(stream, shape, c.data(mask), c.data(dy), nullptr, c.data(dx)); });
  }
  c.step([&c, w, mask = op.at("mask"), dy = op.at("dy"), dx = op.at("dx")](cudaStream_t stream) {
    map(stream, MaxPoolGrad{w, c.data<uint16_t>(mask), valuesOf(c, dy), placesOf(c, dx)}, w.count(w.large));
  });
}

void avgPool(CudaCompiler &c, const Operation &op) {
  Windows w = windowsOf(c, op, "x", "y");
  c.step([&c, w, x = op.at("x"), y = op.at("y")](cudaStream_t stream) {
    map(stream, AvgPool{w, valuesOf(c, x), placesOf(c, y)}, w.count(w.small));
  });
}

void avgPoolGrad(CudaCompiler &c, const Operation &op) {
  Windows w = windowsOf(c, op, "dx", "dy");
  c.step([&c, w, dy = op.at("dy"), dx = op.at("dx")](cudaStream_t stream) {
    map(stream, AvgPoolGrad{w, valuesOf(c, dy), placesOf(c, dx)}, w.count(w.large));
  });
}

/// A block an image and 32 channels: 8 threads a channel share the voxels, their sums are added in order.
__global__ void __launch_bounds__(256) globalMean(Values x, Places y, int64_t voxels, int channels) {
  __shared__ double shared[8][32];
  int lane = int(threadIdx.x) % 32, share = int(threadIdx.x) / 32, channel = int(blockIdx.y) * 32 + lane;
  double sum = 0;
  if (channel < channels)
    for (int64_t v = share; v < voxels; v += 8) sum += x[(int64_t(blockIdx.x) * voxels + v) * channels + channel];
  shared[share][lane] = sum;
  __syncthreads();
  if (share > 0 || channel >= channels) return;
  for (int i = 1; i < 8; ++i) sum += shared[i][lane];
  y.set(int64_t(blockIdx.x) * channels + channel, float(sum / double(voxels)));
}

struct GlobalMeanGrad {
  Values dy;
  Places dx;
  int64_t voxels;
  int channels;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    int64_t image = i / channels / voxels;
    dx.set(i, dy[image * channels + i % channels] / float(voxels));
  }
};

int64_t voxelsOf(const Shape &shape) { return shape[1] * shape[2] * shape[3]; }

void globalAvgPool(CudaCompiler &c, const Operation &op) {
  const Shape &shape = requireRank(c.program, op, "x", 5);
  requireShape(c.program, op, "y", {shape[0], shape[4]});
  c.step([&c, shape, x = op.at("x"), y = op.at("y")](cudaStream_t stream) {
    launch(stream, globalMean, Grid{unsigned(shape[0]), unsigned((shape[4] + 31) / 32)}, Block{256}, 0, valuesOf(c, x),
           placesOf(c, y), voxelsOf(shape), int(shape[4]));
  });
}

void globalAvgPoolGrad(CudaCompiler &c, const Operation &op) {
  const Shape &shape = requireRank(c.program, op, "dx", 5);
  requireShape(c.program, op, "dy", {shape[0], shape[4]});
  c.step([&c, shape, dy = op.at("dy"), dx = op.at("dx")](cudaStream_t stream) {
    map(stream, GlobalMeanGrad{valuesOf(c, dy), placesOf(c, dx), voxelsOf(shape), int(shape[4])}, elements(shape));
  });
}

}  // namespace

const std::vector<Registration> poolOperations = {
    {"max_pool", maxPool},          {"max_pool_grad", maxPoolGrad},     {"avg_pool", avgPool},
    {"avg_pool_grad", avgPoolGrad}, {"global_avg_pool", globalAvgPool}, {"global_avg_pool_grad", globalAvgPoolGrad},
};

}  // namespace semgen::cuda
