#include "engine/cpu/winograd.h"

#include <algorithm>

#include "engine/cpu/values.h"
#include "engine/cpu/winograd_kernels.h"

namespace semgen::cpu {

namespace {

using namespace winograd;

/// What stays in the cache between the phases: rows of the input at all points, and kernels at all points.
constexpr int64_t rowBytes = 6 << 20, kernelBytes = 4 << 20;
/// Floats behind the rows of a point: keeps the points of a tile, which are written together, out of the same cache sets.
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
Kernels mirrored(const Kernels &k) {
  return {k.id, k.offset + 2 * (k.x + k.y + k.z), k.in, k.out, -k.x, -k.y, -k.z};
}

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
  Plane<T> plane(T *data, int64_t n, int64_t block, int64_t at) const {
    return {data + n * view.strideN + block * view.strideBlock + at * y * z * view.strideVoxel, y, z, view.strideVoxel};
  }
};

/// Images and planes that are worked on at a time: several whole images, or some planes of one.
struct Chunk {
  int64_t images, planes;  // at most
};

/// How a convolution is cut up: by planes, so that the transformed input stays in the cache, and by blocks of output channels,
/// so that the transformed kernels do.
struct Cut {
  int64_t tiles;      // of a plane
  int64_t inBlocks, outBlocks;
  Chunk chunk;
  int64_t outBlocksAtATime;

  Cut(const Activation &in, int64_t outBlocks) : inBlocks(in.view.blocks), outBlocks(outBlocks) {
    tiles = ((in.y + tileExtent - 1) / tileExtent) * ((in.z + tileExtent - 1) / tileExtent);
    int64_t planeBytes = points * inBlocks * tiles * lanes * int64_t(sizeof(float));
    int64_t planes = std::max<int64_t>(1, rowBytes / planeBytes - 2);
    chunk = planes < in.x ? Chunk{1, planes} : Chunk{std::min(in.view.images, (planes + 2) / (in.x + 2)), in.x};
    chunk.images = std::max<int64_t>(1, chunk.images);
    int64_t blockBytes = 3 * points * inBlocks * lanes * lanes * int64_t(sizeof(float));
    // Whole pairs, as the products take them.
    outBlocksAtATime = std::min(outBlocks, std::max<int64_t>(1, kernelBytes / blockBytes / 2) * 2);
  }
  /// Rows of a chunk's input, with a plane of zeros, or of neighbours, at either end; and of its output.
  int64_t inputRows() const { return chunk.images * (chunk.planes + 2) * tiles; }
  int64_t outputRows() const { return chunk.images * chunk.planes * tiles; }
  /// Floats of one point.
  int64_t inputStride() const { return inBlocks * inputRows() * lanes + pointGap; }
  int64_t outputStride() const { return outBlocksAtATime * outputRows() * lanes + pointGap; }
  int64_t kernelStride() const { return kernelsOf(0, outBlocksAtATime) + pointGap; }
  /// Floats of the kernels of some output blocks at one point.
  int64_t kernelsOf(int64_t first, int64_t last) const { return (last - first) * 3 * inBlocks * lanes * lanes; }
};

/// Scratch at the points, and the phases between which it is handed on. Each phase is one parallel loop.
template <class T>
struct Phases {
  CpuCompiler &c;
  Cut cut;
  TensorId input, output, kernels;

  Phases(CpuCompiler &c, const Cut &cut) : c(c), cut(cut) {
    auto floats = [&](int64_t stride) { return c.program.scratch(size_t(points * stride) * sizeof(float)); };
    input = floats(cut.inputStride()), output = floats(cut.outputStride()), kernels = floats(cut.kernelStride());
  }

  /// The input's rows of a chunk: its planes and one more at either end, zeros outside of the image.
  void takeInput(const Activation &x, int64_t image, int64_t images, int64_t plane, int64_t planes) const {
    const T *from = c.data<const T>(x.id);
    float *to = c.data<float>(input);
    int64_t stride = cut.inputStride(), rows = cut.inputRows();
#pragma omp parallel for collapse(3) schedule(static)
    for (int64_t n = 0; n < images; ++n)
      for (int64_t p = 0; p < planes + 2; ++p)
        for (int64_t block = 0; block < cut.inBlocks; ++block) {
          PointRows at{to + (block * rows + (n * (planes + 2) + p) * cut.tiles) * lanes, stride};
          int64_t x0 = plane + p - 1;
          if (x0 >= 0 && x0 < x.x)
            transformInput<T>(x.plane(from, image + n, block, x0), at);
          else
            for (int64_t point = 0; point < points; ++point)
              std::fill_n(at.values + point * stride, cut.tiles * lanes, 0.0f);
        }
  }

  /// The rows of a gradient of the output, or the output itself from its rows: body(plane, rows).
  template <class Element, class Body>
  void forOutput(const Activation &y, Element *data, int64_t image, int64_t images, int64_t plane, int64_t planes,
                 int64_t firstBlock, int64_t lastBlock, Body &&body) const {
    float *rows = c.data<float>(output);
#pragma omp parallel for collapse(3) schedule(static)
    for (int64_t n = 0; n < images; ++n)
      for (int64_t p = 0; p < planes; ++p)
        for (int64_t block = firstBlock; block < lastBlock; ++block)
          body(y.plane(data, image + n, block, plane + p),
               PointRows{rows + ((block - firstBlock) * cut.outputRows() + (n * planes + p) * cut.tiles) * lanes,
                         cut.outputStride()});
  }

  /// Where the kernels of a pair of output blocks (or one left over) lie at a point: [tap][channel][block][16].
  static int64_t pairSize(int64_t block, int64_t last) { return std::min<int64_t>(2, last - block); }

  /// body(kernel of lane 0 in memory, its 36 points) for 16 kernels at a time: an output block, an input channel, a tap.
  template <class Body>
  void forKernels(const Kernels &k, int64_t firstBlock, int64_t lastBlock, Body &&body) const {
    float *at = c.data<float>(kernels);
    int64_t channels = cut.inBlocks * lanes;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t block = firstBlock; block < lastBlock; ++block)
      for (int64_t i = 0; i < channels; ++i) {
        int64_t pair = firstBlock + (block - firstBlock) / 2 * 2, blocks = pairSize(pair, lastBlock);
        for (int64_t tap = 0; tap < 3; ++tap)
          body(k.at(block * lanes, i, tap), at + cut.kernelsOf(firstBlock, pair) +
                                                ((tap * channels + i) * blocks + block - pair) * lanes);
      }
  }

  /// body(point, pair's first block, its blocks) for all products of a chunk.
  template <class Body>
  void forProducts(int64_t firstBlock, int64_t lastBlock, Body &&body) const {
    int64_t pairs = (lastBlock - firstBlock + 1) / 2;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t point = 0; point < points; ++point)
      for (int64_t pair = 0; pair < pairs; ++pair)
        body(point, firstBlock + 2 * pair, pairSize(firstBlock + 2 * pair, lastBlock));
  }

  template <class Body>
  void forChunks(const Activation &x, Body &&body) const {
    for (int64_t image = 0; image < x.view.images; image += cut.chunk.images)
      for (int64_t plane = 0; plane < x.x; plane += cut.chunk.planes)
        body(image, std::min(cut.chunk.images, x.view.images - image), plane,
             std::min(cut.chunk.planes, x.x - plane));
  }
  int64_t chunks(const Activation &x) const {
    auto parts = [](int64_t all, int64_t part) { return (all + part - 1) / part; };
    return parts(x.view.images, cut.chunk.images) * parts(x.x, cut.chunk.planes);
  }
  template <class Body>
  void forOutputBlocks(Body &&body) const {
    for (int64_t first = 0; first < cut.outBlocks; first += cut.outBlocksAtATime)
      body(first, std::min(cut.outBlocks, first + cut.outBlocksAtATime));
  }
};

template <class T>
void convolve(const Phases<T> &phases, const Activation &x, const Kernels &kernels, const Activation &y, bool accumulate) {
  const Cut &cut = phases.cut;
  CpuCompiler &c = phases.c;
  const float *weights = c.data<const float>(kernels.id);
  T *result = c.data<T>(y.id);
  bool kernelsStay = cut.outBlocksAtATime == cut.outBlocks, kernelsTaken = false;
  phases.forChunks(x, [&](int64_t image, int64_t images, int64_t plane, int64_t planes) {
    phases.takeInput(x, image, images, plane, planes);
    phases.forOutputBlocks([&](int64_t first, int64_t last) {
      if (!kernelsStay || !kernelsTaken)
        phases.forKernels(kernels, first, last, [&](int64_t from, float *to) {
          transformKernels(weights + from, kernels.view(), to, cut.kernelStride());
        });
      kernelsTaken = true;
      const float *in = c.data<const float>(phases.input), *at = c.data<const float>(phases.kernels);
      float *out = c.data<float>(phases.output);
      phases.forProducts(first, last, [&](int64_t point, int64_t block, int64_t blocks) {
        Product product{3, cut.tiles * lanes, cut.inBlocks, cut.inputRows() * lanes, cut.outputRows() * lanes, blocks};
        for (int64_t n = 0; n < images; ++n)
          multiply(product, in + point * cut.inputStride() + n * (planes + 2) * cut.tiles * lanes,
                   at + point * cut.kernelStride() + cut.kernelsOf(first, block),
                   out + point * cut.outputStride() + ((block - first) * cut.outputRows() + n * planes * cut.tiles) * lanes,
                   planes * cut.tiles);
      });
      phases.forOutput(y, result, image, images, plane, planes, first, last,
                       [&](const Plane<T> &to, const PointRows &from) { transformOutput<T>(from, to, accumulate); });
    });
  });
}

template <class T>
void weightGradient(const Phases<T> &phases, const Activation &x, const Activation &dy, const Kernels &kernels) {
  const Cut &cut = phases.cut;
  CpuCompiler &c = phases.c;
  const T *gradient = c.data<const T>(dy.id);
  float *result = c.data<float>(kernels.id), *at = c.data<float>(phases.kernels);
  bool inputStays = phases.chunks(x) == 1, inputTaken = false;
  phases.forOutputBlocks([&](int64_t first, int64_t last) {
    phases.forProducts(first, last, [&](int64_t point, int64_t block, int64_t blocks) {
      std::fill_n(at + point * cut.kernelStride() + cut.kernelsOf(first, block), cut.kernelsOf(0, blocks), 0.0f);
    });
    phases.forChunks(x, [&](int64_t image, int64_t images, int64_t plane, int64_t planes) {
      if (!inputStays || !inputTaken) phases.takeInput(x, image, images, plane, planes);
      inputTaken = true;
      phases.forOutput(dy, gradient, image, images, plane, planes, first, last,
                       [&](const Plane<const T> &from, const PointRows &to) { transformGradient<T>(from, to); });
      const float *in = c.data<const float>(phases.input), *out = c.data<const float>(phases.output);
      phases.forProducts(first, last, [&](int64_t point, int64_t block, int64_t blocks) {
        float *to = at + point * cut.kernelStride() + cut.kernelsOf(first, block);
        for (int64_t tap = 0; tap < 3; ++tap)
          for (int64_t inBlock = 0; inBlock < cut.inBlocks; ++inBlock, to += lanes * blocks * lanes)
            for (int64_t n = 0; n < images; ++n)
              multiplyTransposed(
                  in + point * cut.inputStride() +
                      (inBlock * cut.inputRows() + (n * (planes + 2) + tap) * cut.tiles) * lanes,
                  out + point * cut.outputStride() + ((block - first) * cut.outputRows() + n * planes * cut.tiles) * lanes,
                  cut.outputRows() * lanes, blocks, to, planes * cut.tiles);
      });
    });
    phases.forKernels(kernels, first, last, [&](int64_t to, const float *from) {
      transformKernelGradients(from, cut.kernelStride(), result + to, kernels.view());
    });
  });
}

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
  Cut cut(x, outChannels / lanes);
  withElement(c.type(to), [&]<class T>() {
    Phases<T> phases(c, cut);
    c.loop([=] { convolve(phases, x, kernels, y, accumulate); });
  });
  c.note("winograd");
}

/// Whether this CPU is faster so than with oneDNN's direct convolutions.
bool pays(Type type) {
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

bool winogradSuits(Type type, int64_t inChannels, int64_t outChannels, const Dims &extents) {
  if (!pays(type) || inChannels % lanes != 0 || outChannels % lanes != 0) return false;
  int64_t y = extents[3], z = extents[4];
  int64_t tiles = ((y + tileExtent - 1) / tileExtent) * ((z + tileExtent - 1) / tileExtent);
  // Multiplications of a plane against those of a direct convolution: half at most, to be worth the transforms.
  return 2 * points * tiles <= 9 * y * z;
}

bool winogradServes(const CpuCompiler &c, TensorId in, TensorId out, const Operand &weights, const Dims &stride,
                    const Dims &padding) {
  Dims kernel = weights.desc.dims(), x = c.dims(in), y = c.dims(out);
  kernel.erase(kernel.begin(), kernel.begin() + 2);
  if (kernel != Dims{3, 3, 3} || stride != Dims{1, 1, 1} || padding != Dims{1, 1, 1}) return false;
  auto inBlocks = [&c](TensorId id) { return !c.placed(id) || ChannelView(c.operand(id).desc).lanes == lanes; };
  return c.type(in) == c.type(out) && winogradSuits(c.type(in), x[1], y[1], x) && inBlocks(in) && inBlocks(out);
}

void winogradForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, bool accumulate) {
  record(c, x, kernelsOf(weights), y, c.dims(y)[1], accumulate);
}

void winogradDataGradient(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx) {
  record(c, dy, mirrored(kernelsOf(weights)), dx, c.dims(dx)[1], false);
}

void winogradWeightGradient(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights) {
  Activation in(c.operand(x)), gradient(c.operand(dy));
  Cut cut(in, gradient.view.blocks);
  withElement(c.type(dy), [&]<class T>() {
    Phases<T> phases(c, cut);
    c.loop([=, kernels = kernelsOf(dweights)] { weightGradient(phases, in, gradient, kernels); });
  });
  c.note("winograd");
}

}  // namespace semgen::cpu
