#include "engine/cpu/winograd.h"

#include <omp.h>

#include <algorithm>

#include "engine/cpu/values.h"
#include "engine/cpu/winograd_kernels.h"

namespace semgen::cpu {

namespace {

using namespace winograd;

/// What is to stay in a core's own cache, and in the cache that cores share, while it is worked on.
constexpr int64_t ownBytes = 3 << 18, sharedBytes = 8 << 20;
/// Floats behind the rows of a point: keeps the points of a tile, which are written together, out of the same cache
/// sets.
constexpr int64_t pointGap = 5 * lanes;

/// Kernels of a convolution, (out, in, x, y, z), anywhere in memory.
struct Kernels {
  TensorId id;
  int64_t offset, out, in, x, y, z;  // floats
  int64_t at(int64_t o, int64_t i, int64_t tap) const { return offset + o * out + i * in + tap * x; }
  KernelView view() const { return {out, y, z}; }
};

Kernels kernelsOf(const Operand &weights) {
  const auto &md = weights.desc.data;
  const auto &s = md.format_desc.blocking.strides;
  return {weights.id, md.offset0, s[0], s[1], s[2], s[3], s[4]};
}

/// What carries a gradient back through the convolution: taps mirrored, input and output exchanged.
Kernels mirrored(const Kernels &k) { return {k.id, k.offset + 2 * (k.x + k.y + k.z), k.in, k.out, -k.x, -k.y, -k.z}; }

/// An activation as the transforms see it.
struct Activation {
  TensorId id;
  ChannelView view;
  int64_t x, y, z;

  explicit Activation(const Operand &operand) : id(operand.id), view(operand.desc) {
    Dims extents = operand.desc.dims();
    x = extents[2], y = extents[3], z = extents[4];
  }
  template <class T>
  Plane<T> plane(T *data, int64_t n, int64_t block, int64_t at, int64_t firstRow, int64_t lastRow) const {
    T *values = data + n * view.strideN + block * view.strideBlock + at * y * z * view.strideVoxel;
    return {values, y, z, view.strideVoxel, firstRow, lastRow};
  }
};

int64_t parts(int64_t all, int64_t part) { return (all + part - 1) / part; }

/// Some images, x-planes of them, and rows of tiles of these.
struct Part {
  int64_t image, images, plane, planes, tileRow, tileRows;
};

/// How a convolution is cut into parts, so that what is transformed stays in a cache until it is used: rows by images,
/// planes and rows of tiles; kernels by blocks of output channels.
struct Cut {
  int64_t images, planes, tileRows, tilesZ;  // all
  int64_t inBlocks, outBlocks;
  Part part{};  // the extents of the largest
  int64_t outBlocksAtATime;
  /// Each thread works on parts of its own, with the kernels transformed beforehand; else all on one after the other.
  bool own;

  Cut(const Activation &in, int64_t outBlocks, bool mayOwn)
      : images(in.view.images),
        planes(in.x),
        tileRows(parts(in.y, tileExtent)),
        tilesZ(parts(in.z, tileExtent)),
        inBlocks(in.view.blocks),
        outBlocks(outBlocks) {
    int64_t blockBytes = 3 * points * inBlocks * lanes * lanes * int64_t(sizeof(float));
    // Whole pairs, as the products take them.
    outBlocksAtATime = std::min(outBlocks, std::max<int64_t>(1, sharedBytes / blockBytes / 2) * 2);
    own = mayOwn && outBlocksAtATime == outBlocks;
    int64_t tileBytes = points * (inBlocks + outBlocksAtATime) * lanes * int64_t(sizeof(float));
    int64_t rows = std::max<int64_t>(1, (own ? ownBytes : 2 * sharedBytes) / (tileBytes * tilesZ));
    // A part has two planes more of input than of output: long along x rather than along y; and all of about one size.
    auto even = [](int64_t all, int64_t most) { return parts(all, parts(all, std::clamp<int64_t>(most, 1, all))); };
    part.tileRows = even(tileRows, rows / (std::min<int64_t>(planes, 6) + 2));
    part.planes = even(planes, rows / part.tileRows - 2);
    bool whole = part.tileRows == tileRows && part.planes == planes;
    part.images = whole ? std::clamp<int64_t>(rows / (tileRows * (planes + 2)), 1, images) : 1;
  }
  int64_t count() const {
    return parts(images, part.images) * parts(planes, part.planes) * parts(tileRows, part.tileRows);
  }
  /// Part i of count().
  Part at(int64_t i) const {
    Part p{};
    int64_t alongY = parts(tileRows, part.tileRows), alongX = parts(planes, part.planes);
    p.tileRow = i % alongY * part.tileRows, p.tileRows = std::min(part.tileRows, tileRows - p.tileRow);
    p.plane = i / alongY % alongX * part.planes, p.planes = std::min(part.planes, planes - p.plane);
    p.image = i / alongY / alongX * part.images, p.images = std::min(part.images, images - p.image);
    return p;
  }
  /// Tiles of a part's input, with a plane of zeros, or of neighbours, at either end; and of its output.
  int64_t inputTiles() const { return part.images * (part.planes + 2) * part.tileRows * tilesZ; }
  int64_t outputTiles() const { return part.images * part.planes * part.tileRows * tilesZ; }
  /// Floats of one point.
  int64_t inputStride() const { return inBlocks * inputTiles() * lanes + pointGap; }
  int64_t outputStride() const { return outBlocksAtATime * outputTiles() * lanes + pointGap; }
  int64_t kernelStride() const { return kernelFloats(outBlocksAtATime) + pointGap; }
  /// Floats of the kernels of so many blocks of output channels, at one point.
  int64_t kernelFloats(int64_t blocks) const { return blocks * 3 * inBlocks * lanes * lanes; }
};

/// The phases of a convolution, each a parallel loop, and scratch for what they hand on. Where threads work on parts of
/// their own the phases are called inside of a parallel loop over parts, and are loops of one thread.
template <class T>
struct Phases {
  CpuCompiler &c;
  Cut cut;
  TensorId inputs, outputs, kernels;

  Phases(CpuCompiler &c, const Cut &cut) : c(c), cut(cut) {
    int64_t copies = cut.own ? c.threads : 1;
    auto floats = [&](int64_t stride) { return c.program.scratch(size_t(points * stride) * sizeof(float)); };
    inputs = floats(copies * cut.inputStride());
    outputs = floats(copies * cut.outputStride());
    kernels = floats(cut.kernelStride());
  }
  float *input() const { return c.data<float>(inputs) + copy() * points * cut.inputStride(); }
  float *output() const { return c.data<float>(outputs) + copy() * points * cut.outputStride(); }
  float *kernel() const { return c.data<float>(kernels); }
  int64_t copy() const { return cut.own ? omp_get_ancestor_thread_num(1) : 0; }

  /// The input at the points: a part's planes and one more at either end, zeros outside of the image.
  void takeInput(const Activation &x, const Part &part) const {
    const T *from = c.data<const T>(x.id);
    float *to = input();
    int64_t tiles = part.tileRows * cut.tilesZ;
#pragma omp parallel for collapse(3) schedule(static)
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t p = 0; p < part.planes + 2; ++p)
        for (int64_t block = 0; block < cut.inBlocks; ++block) {
          PointRows at{to + (block * cut.inputTiles() + (n * (part.planes + 2) + p) * tiles) * lanes,
                       cut.inputStride()};
          int64_t plane = part.plane + p - 1;
          if (plane >= 0 && plane < x.x)
            transformInput<T>(x.plane(from, part.image + n, block, plane, part.tileRow, part.tileRow + part.tileRows),
                              at);
          else
            for (int64_t point = 0; point < points; ++point)
              std::fill_n(at.values + point * at.stride, tiles * lanes, 0.0f);
        }
  }

  /// body(plane, its tiles at the points) for a part of the convolution's output, or of the gradient of that.
  template <class Element, class Body>
  void forOutput(const Activation &y, Element *data, const Part &part, int64_t firstBlock, int64_t lastBlock,
                 Body &&body) const {
    float *at = output();
    int64_t tiles = part.tileRows * cut.tilesZ;
#pragma omp parallel for collapse(3) schedule(static)
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t p = 0; p < part.planes; ++p)
        for (int64_t block = firstBlock; block < lastBlock; ++block)
          body(y.plane(data, part.image + n, block, part.plane + p, part.tileRow, part.tileRow + part.tileRows),
               PointRows{at + ((block - firstBlock) * cut.outputTiles() + (n * part.planes + p) * tiles) * lanes,
                         cut.outputStride()});
  }

  /// The kernels of a pair of output blocks, or of one left over, lie beside each other: [tap][channel][block][16].
  static int64_t pairSize(int64_t block, int64_t last) { return std::min<int64_t>(2, last - block); }

  /// body(kernel of lane 0 in memory, its points) for 16 kernels at a time: an output block, an input channel, a tap.
  template <class Body>
  void forKernels(const Kernels &k, int64_t firstBlock, int64_t lastBlock, Body &&body) const {
    float *at = kernel();
    int64_t channels = cut.inBlocks * lanes;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t block = firstBlock; block < lastBlock; ++block)
      for (int64_t i = 0; i < channels; ++i) {
        int64_t pair = firstBlock + (block - firstBlock) / 2 * 2, blocks = pairSize(pair, lastBlock);
        for (int64_t tap = 0; tap < 3; ++tap)
          body(k.at(block * lanes, i, tap),
               at + cut.kernelFloats(pair - firstBlock) + ((tap * channels + i) * blocks + block - pair) * lanes);
      }
  }

  /// body(point, pair's first block, its blocks) for all products of a part.
  template <class Body>
  void forProducts(int64_t firstBlock, int64_t lastBlock, Body &&body) const {
    int64_t pairs = (lastBlock - firstBlock + 1) / 2;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t point = 0; point < points; ++point)
      for (int64_t pair = 0; pair < pairs; ++pair)
        body(point, firstBlock + 2 * pair, pairSize(firstBlock + 2 * pair, lastBlock));
  }

  template <class Body>
  void forOutputBlocks(Body &&body) const {
    for (int64_t first = 0; first < cut.outBlocks; first += cut.outBlocksAtATime)
      body(first, std::min(cut.outBlocks, first + cut.outBlocksAtATime));
  }
};

template <class T>
struct Convolution {
  Phases<T> phases;
  Activation x, y;
  Kernels kernels;
  bool accumulate;

  void run() const {
    const Cut &cut = phases.cut;
    if (!cut.own) {
      for (int64_t i = 0; i < cut.count(); ++i) {
        Part part = cut.at(i);
        phases.takeInput(x, part);
        phases.forOutputBlocks([&](int64_t first, int64_t last) {
          takeKernels(first, last);
          convolve(part, first, last);
        });
      }
      return;
    }
    takeKernels(0, cut.outBlocks);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < cut.count(); ++i) {
      Part part = cut.at(i);
      phases.takeInput(x, part);
      convolve(part, 0, cut.outBlocks);
    }
  }

 private:
  void takeKernels(int64_t first, int64_t last) const {
    const float *weights = phases.c.template data<const float>(kernels.id);
    phases.forKernels(kernels, first, last, [&](int64_t from, float *to) {
      transformKernels(weights + from, kernels.view(), to, phases.cut.kernelStride());
    });
  }

  void convolve(const Part &part, int64_t first, int64_t last) const {
    const Cut &cut = phases.cut;
    const float *in = phases.input(), *at = phases.kernel();
    float *out = phases.output();
    int64_t tiles = part.tileRows * cut.tilesZ;
    phases.forProducts(first, last, [&](int64_t point, int64_t block, int64_t blocks) {
      Product product{3, tiles * lanes, cut.inBlocks, cut.inputTiles() * lanes, cut.outputTiles() * lanes, blocks};
      for (int64_t n = 0; n < part.images; ++n)
        multiply(
            product, in + point * cut.inputStride() + n * (part.planes + 2) * tiles * lanes,
            at + point * cut.kernelStride() + cut.kernelFloats(block - first),
            out + point * cut.outputStride() + ((block - first) * cut.outputTiles() + n * part.planes * tiles) * lanes,
            part.planes * tiles);
    });
    phases.forOutput(y, phases.c.template data<T>(y.id), part, first, last,
                     [&](const Plane<T> &to, const PointRows &from) { transformOutput<T>(from, to, accumulate); });
  }
};

template <class T>
struct WeightGradient {
  Phases<T> phases;
  Activation x, dy;
  Kernels kernels;

  void run() const {
    const Cut &cut = phases.cut;
    float *result = phases.c.template data<float>(kernels.id);
    phases.forOutputBlocks([&](int64_t first, int64_t last) {
      for (int64_t i = 0; i < cut.count(); ++i) {
        Part part = cut.at(i);
        // One part stays transformed for all blocks.
        if (first == 0 || cut.count() > 1) phases.takeInput(x, part);
        phases.forOutput(dy, phases.c.template data<const T>(dy.id), part, first, last,
                         [](const Plane<const T> &from, const PointRows &to) { transformGradient<T>(from, to); });
        addProducts(part, first, last, i > 0);
      }
      phases.forKernels(kernels, first, last, [&](int64_t to, const float *from) {
        transformKernelGradients(from, cut.kernelStride(), result + to, kernels.view());
      });
    });
  }

 private:
  void addProducts(const Part &part, int64_t first, int64_t last, bool add) const {
    const Cut &cut = phases.cut;
    const float *in = phases.input(), *out = phases.output();
    int64_t tiles = part.tileRows * cut.tilesZ;
    phases.forProducts(first, last, [&](int64_t point, int64_t block, int64_t blocks) {
      float *to = phases.kernel() + point * cut.kernelStride() + cut.kernelFloats(block - first);
      const float *gradient = out + point * cut.outputStride() + (block - first) * cut.outputTiles() * lanes;
      for (int64_t tap = 0; tap < 3; ++tap)
        for (int64_t inBlock = 0; inBlock < cut.inBlocks; ++inBlock, to += lanes * blocks * lanes) {
          const float *values = in + point * cut.inputStride() + (inBlock * cut.inputTiles() + tap * tiles) * lanes;
          for (int64_t n = 0; n < part.images; ++n)
            multiplyTransposed(values + n * (part.planes + 2) * tiles * lanes,
                               gradient + n * part.planes * tiles * lanes, cut.outputTiles() * lanes, blocks, to,
                               part.planes * tiles, add || n > 0);
        }
    });
  }
};

/// Calls body.operator()<T>() with an activation's element type as the kernels know it.
template <class Body>
void withElement(Type type, Body &&body) {
  if (type == Type::bf16)
    body.template operator()<uint16_t>();
  else
    body.template operator()<float>();
}

void record(CpuCompiler &c, TensorId from, const Kernels &kernels, TensorId to, int64_t outChannels, bool accumulate) {
  Activation x(c.operand(from));
  Operand target = accumulate ? c.operand(to) : c.place(to, Desc(c.dims(to), c.type(to), Tag::nCdhw16c));
  Activation y(target);
  Cut cut(x, outChannels / lanes, true);
  withElement(c.type(to), [&]<class T>() {
    c.loop([convolution = Convolution<T>{{c, cut}, x, y, kernels, accumulate}] { convolution.run(); });
  });
  c.note("winograd");
}

/// Whether this CPU has the instructions, and no better ones for this type.
bool possible(Type type) {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx512_core:
    case dnnl::cpu_isa::avx512_core_vnni:
    case dnnl::cpu_isa::avx512_core_bf16:
      return true;
    case dnnl::cpu_isa::avx512_core_amx:
      return type == Type::f32;
    default:
      return false;
  }
}

}  // namespace

double winogradShare(Type type, int64_t inChannels, int64_t outChannels, const Dims &extents) {
  if (!possible(type) || inChannels % lanes != 0 || outChannels % lanes != 0) return 1;
  int64_t images = extents[0], x = extents[2], y = extents[3], z = extents[4];
  double rows = double(images * x * ((y + tileExtent - 1) / tileExtent) * ((z + tileExtent - 1) / tileExtent));
  double in = double(inChannels), out = double(outChannels);
  // In multiplications of float32, the transforms as measured on Zen 4.
  double products = 3 * points * rows * in * out;
  double transforms = rows * (1000 * in + 700 * out) + 5000 * in * out;
  double direct = 27.0 * double(images * x * y * z) * in * out / (type == Type::bf16 ? 2 : 1);
  return std::min(1.0, (products + transforms) / direct);
}

bool winogradServes(const CpuCompiler &c, TensorId in, TensorId out, const Operand &weights, const Dims &stride,
                    const Dims &padding) {
  Dims kernel = weights.desc.dims(), x = c.dims(in), y = c.dims(out);
  kernel.erase(kernel.begin(), kernel.begin() + 2);
  if (kernel != Dims{3, 3, 3} || stride != Dims{1, 1, 1} || padding != Dims{1, 1, 1}) return false;
  auto inBlocks = [&c](TensorId id) { return !c.placed(id) || ChannelView(c.operand(id).desc).lanes == lanes; };
  return c.type(in) == c.type(out) && winogradShare(c.type(in), x[1], y[1], x) < 1 && inBlocks(in) && inBlocks(out);
}

void winogradForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, bool accumulate) {
  record(c, x, kernelsOf(weights), y, c.dims(y)[1], accumulate);
}

void winogradDataGradient(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx) {
  record(c, dy, mirrored(kernelsOf(weights)), dx, c.dims(dx)[1], false);
}

void winogradWeightGradient(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights) {
  Activation in(c.operand(x)), gradient(c.operand(dy));
  Cut cut(in, gradient.view.blocks, false);
  withElement(c.type(dy), [&]<class T>() {
    c.loop([of = WeightGradient<T>{{c, cut}, in, gradient, kernelsOf(dweights)}] { of.run(); });
  });
  c.note("winograd");
}

}  // namespace semgen::cpu
