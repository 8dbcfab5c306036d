#include "engine/cpu/winograd.h"

#include <omp.h>

#include <vector>

#include "engine/cpu/winograd_cut.h"

namespace semgen::cpu {

namespace {

using namespace winograd;

/// The loops for this CPU, where they are faster than oneDNN's direct convolutions of this type; else none.
const Loops *loopsFor(Type type) {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx2:
      return type == Type::f32 ? &avx2 : nullptr;
    case dnnl::cpu_isa::avx512_core:
    case dnnl::cpu_isa::avx512_core_vnni:
    case dnnl::cpu_isa::avx512_core_bf16:
      return &avx512;
    case dnnl::cpu_isa::avx512_core_amx:
      return type == Type::f32 ? &avx512 : nullptr;
    default:
      return nullptr;
  }
}

/// The phases of a convolution, each a parallel loop, and scratch for what they hand on. Where threads work on parts of
/// their own the phases are called inside of a parallel loop over parts, and are loops of one thread.
template <class T>
struct Phases {
  CpuCompiler &c;
  const Loops &loops;
  Cut cut;
  TensorId inputs, outputs, kernels;

  Phases(CpuCompiler &c, const Loops &loops, const Cut &cut) : c(c), loops(loops), cut(cut) {
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
          int64_t row = block * cut.inputTiles() + (n * (part.planes + 2) + p) * tiles;
          PointRows at{to + row * cut.lanes, cut.inputStride()};
          int64_t plane = part.plane + p - 1;
          if (plane >= 0 && plane < x.x)
            loops.transforms<T>().input(
                x.plane(from, part.image + n, block, plane, part.tileRow, part.tileRow + part.tileRows), at);
          else
            for (int64_t point = 0; point < points; ++point)
              std::fill_n(at.values + point * at.stride, tiles * cut.lanes, 0.0f);
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
        for (int64_t block = firstBlock; block < lastBlock; ++block) {
          int64_t row = (block - firstBlock) * cut.outputTiles() + (n * part.planes + p) * tiles;
          body(y.plane(data, part.image + n, block, part.plane + p, part.tileRow, part.tileRow + part.tileRows),
               PointRows{at + row * cut.lanes, cut.outputStride()});
        }
  }

  /// body(pair's first block, its blocks, i) for pairs of output blocks, the last one perhaps alone, and i below count.
  template <class Body>
  void forPairs(int64_t firstBlock, int64_t lastBlock, int64_t count, Body &&body) const {
    int64_t pairs = (lastBlock - firstBlock + 1) / 2;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t pair = 0; pair < pairs; ++pair)
      for (int64_t i = 0; i < count; ++i) {
        int64_t block = firstBlock + 2 * pair;
        body(block, std::min<int64_t>(2, lastBlock - block), i);
      }
  }

  /// body(kernel of lane 0 in memory, its points) for a block of kernels at a time: an output block, an input channel,
  /// a tap. The kernels of a pair of output blocks lie beside each other: [tap][channel][block][lane].
  template <class Body>
  void forKernels(const Kernels &k, int64_t firstBlock, int64_t lastBlock, Body &&body) const {
    float *at = kernel();
    int64_t channels = cut.inBlocks * cut.lanes;
    forPairs(firstBlock, lastBlock, channels, [&](int64_t block, int64_t blocks, int64_t i) {
      float *pair = at + cut.kernelFloats(block - firstBlock);
      for (int64_t tap = 0; tap < k.tapsX.count(); ++tap)
        for (int64_t b = 0; b < blocks; ++b)
          body(k.at((block + b) * cut.lanes, i, k.tapsX.first + tap),
               pair + ((tap * channels + i) * blocks + b) * cut.lanes);
    });
  }

  /// body(point, pair's first block, its blocks) for all products of a part.
  template <class Body>
  void forProducts(int64_t firstBlock, int64_t lastBlock, Body &&body) const {
    forPairs(firstBlock, lastBlock, points,
             [&](int64_t block, int64_t blocks, int64_t point) { body(point, block, blocks); });
  }

  template <class Body>
  void forOutputBlocks(Body &&body) const {
    for (int64_t first = 0; first < cut.outBlocks; first += cut.outBlocksAtATime)
      body(first, std::min(cut.outBlocks, first + cut.outBlocksAtATime));
  }
};

template <class T>
struct Convolution {
  /// An output, and the kernels that make it out of the input.
  struct Branch {
    Kernels kernels;
    Activation y;
  };
  Phases<T> phases;
  Activation x;
  std::vector<Branch> branches;
  bool accumulate;

  void run() const {
    const Cut &cut = phases.cut;
    if (!cut.own) {
      for (int64_t i = 0; i < cut.count(); ++i) {
        Part part = cut.at(i);
        phases.takeInput(x, part);
        for (const Branch &branch : branches)
          phases.forOutputBlocks([&](int64_t first, int64_t last) {
            takeKernels(branch.kernels, first, last);
            convolve(branch, part, first, last);
          });
      }
      return;
    }
    const Branch &only = branches.front();
    takeKernels(only.kernels, 0, cut.outBlocks);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < cut.count(); ++i) {
      Part part = cut.at(i);
      phases.takeInput(x, part);
      convolve(only, part, 0, cut.outBlocks);
    }
  }

 private:
  void takeKernels(const Kernels &kernels, int64_t first, int64_t last) const {
    const float *weights = phases.c.template data<const float>(kernels.id);
    phases.forKernels(kernels, first, last, [&](int64_t from, float *to) {
      phases.loops.kernels(weights + from, kernels.view(), to, phases.cut.kernelStride());
    });
  }

  void convolve(const Branch &branch, const Part &part, int64_t first, int64_t last) const {
    const Cut &cut = phases.cut;
    const Taps &taps = branch.kernels.tapsX;
    const float *in = phases.input(), *at = phases.kernel();
    float *out = phases.output();
    int64_t tiles = part.tileRows * cut.tilesZ, plane = tiles * cut.lanes;
    int64_t inBlock = cut.inputTiles() * cut.lanes, outBlock = cut.outputTiles() * cut.lanes;
    phases.forProducts(first, last, [&](int64_t point, int64_t block, int64_t blocks) {
      Product product{taps.count(), plane, cut.inBlocks, inBlock, outBlock, blocks};
      float *sums = out + point * cut.outputStride() + (block - first) * outBlock;
      for (int64_t n = 0; n < part.images; ++n, sums += part.planes * plane)
        if (branch.kernels.reachPoint(point))
          phases.loops.multiply(product, in + point * cut.inputStride() + (n * (part.planes + 2) + taps.first) * plane,
                                at + point * cut.kernelStride() + cut.kernelFloats(block - first), sums,
                                part.planes * tiles);
        else
          for (int64_t b = 0; b < blocks; ++b) std::fill_n(sums + b * outBlock, part.planes * plane, 0.0f);
    });
    phases.forOutput(branch.y, phases.c.template data<T>(branch.y.id), part, first, last,
                     [&](const Plane<T> &to, const PointRows &from) {
                       phases.loops.template transforms<T>().output(from, to, accumulate);
                     });
  }
};

template <class T>
struct WeightGradient {
  /// The gradient of an output, and where that of its kernels goes.
  struct Branch {
    Kernels kernels;
    Activation dy;
  };
  Phases<T> phases;
  Activation x;
  std::vector<Branch> branches;

  void run() const {
    const Cut &cut = phases.cut;
    bool taken = false;
    for (const Branch &branch : branches)
      phases.forOutputBlocks([&](int64_t first, int64_t last) {
        for (int64_t i = 0; i < cut.count(); ++i) {
          Part part = cut.at(i);
          // One part stays transformed for all blocks and branches.
          if (!taken) phases.takeInput(x, part);
          taken = cut.count() == 1;
          phases.forOutput(branch.dy, phases.c.template data<const T>(branch.dy.id), part, first, last,
                           phases.loops.template transforms<T>().gradient);
          addProducts(branch.kernels, part, first, last, i > 0);
        }
        float *result = phases.c.template data<float>(branch.kernels.id);
        phases.forKernels(branch.kernels, first, last, [&](int64_t to, const float *from) {
          phases.loops.kernelGradients(from, cut.kernelStride(), result + to, branch.kernels.view());
        });
      });
  }

 private:
  void addProducts(const Kernels &kernels, const Part &part, int64_t first, int64_t last, bool add) const {
    const Cut &cut = phases.cut;
    const float *in = phases.input(), *out = phases.output();
    int64_t tiles = part.tileRows * cut.tilesZ, plane = tiles * cut.lanes;
    int64_t inBlock = cut.inputTiles() * cut.lanes, outBlock = cut.outputTiles() * cut.lanes;
    phases.forProducts(first, last, [&](int64_t point, int64_t block, int64_t blocks) {
      if (!kernels.reachPoint(point)) return;
      float *to = phases.kernel() + point * cut.kernelStride() + cut.kernelFloats(block - first);
      const float *gradient = out + point * cut.outputStride() + (block - first) * outBlock;
      for (int64_t tap = kernels.tapsX.first; tap < kernels.tapsX.last; ++tap)
        for (int64_t i = 0; i < cut.inBlocks; ++i, to += cut.lanes * blocks * cut.lanes) {
          const float *values = in + point * cut.inputStride() + i * inBlock + tap * plane;
          for (int64_t n = 0; n < part.images; ++n)
            phases.loops.multiplyTransposed(values + n * (part.planes + 2) * plane, gradient + n * part.planes * plane,
                                            outBlock, blocks, to, part.planes * tiles, add || n > 0);
        }
    });
  }
};

/// Calls body.operator()<T>() with an activation's element type as the loops know it.
template <class Body>
void withElement(Type type, Body &&body) {
  if (type == Type::bf16)
    body.template operator()<uint16_t>();
  else
    body.template operator()<float>();
}

bool is(const ConvGeometry &geometry, const ConvGeometry &other) {
  return geometry.stride == other.stride && geometry.padding == other.padding &&
         geometry.transposed == other.transposed;
}

/// An output, laid in blocks of the loops' channels unless it has its layout already.
Activation laid(CpuCompiler &c, TensorId id, const Loops &loops) {
  Tag tag = loops.lanes == 16 ? Tag::nCdhw16c : Tag::nCdhw8c;
  return {c.place(id, Desc(c.dims(id), c.type(id), tag)), loops};
}

/// body(kernels, part of an output of twice the extents) for each parity; or of all, where extents stay.
template <class Body>
void forBranches(const Kernels &kernels, const Activation &larger, const ConvGeometry &geometry, Body &&body) {
  if (!geometry.transposed) return body(kernels, larger);
  for (int64_t i = 0; i < Parity::count; ++i) body(kernels.of(Parity::at(i)), larger.of(Parity::at(i)));
}

}  // namespace

double winogradShare(Type type, int64_t inChannels, int64_t outChannels, const Dims &extents, bool doubling) {
  const Loops *loops = loopsFor(type);
  if (!loops || inChannels % loops->lanes != 0 || outChannels % loops->lanes != 0) return 1;
  // In bfloat16, at twice the rate, a direct one takes as little time.
  if (doubling && type != Type::f32) return 1;
  int64_t images = extents[0], x = extents[2], y = extents[3], z = extents[4];
  double voxels = double(images * x * y * z), rows = double(images * x * parts(y, tileExtent) * parts(z, tileExtent));
  double in = double(inChannels), out = double(outChannels);
  // In multiplications of float32, the transforms as measured on Zen 4. With AVX2, oneDNN's weight gradients are
  // products of patches written out, which makes the three directions together a third slower, as measured on Zen 3.
  double rate = loops == &avx2 ? 1.35 : type == Type::bf16 ? 0.5 : 1.0;
  double transforms = rows * (1000 * in + 700 * out) + 5000 * in * out, products = 3 * points * rows * in * out;
  double direct = rate * 27.0 * voxels * in * out;
  if (doubling) {
    double branches = double(Parity::count);
    transforms = rows * (1000 * in + 700 * out * branches) + 5000 * in * out * branches;
    products = 2 * 25 * rows * in * out * branches;
    direct = rate * 64.0 * voxels * in * out;
  }
  return std::min(1.0, (products + transforms) / direct);
}

bool winogradServes(const CpuCompiler &c, TensorId x, TensorId y, const Operand &weights,
                    const ConvGeometry &geometry) {
  bool doubling = is(geometry, winogradDoubling);
  int64_t extent = doubling ? 4 : 3;
  Dims kernel = weights.desc.dims(), in = c.dims(x), out = c.dims(y);
  if (!(doubling || is(geometry, winogradSame)) || Dims(kernel.begin() + 2, kernel.end()) != Dims(3, extent))
    return false;
  if (c.type(x) != c.type(y) || winogradShare(c.type(x), in[1], out[1], in, doubling) == 1) return false;
  int64_t lanes = loopsFor(c.type(x))->lanes;
  auto inBlocks = [&](TensorId id) { return !c.placed(id) || ChannelView(c.operand(id).desc, lanes).lanes == lanes; };
  return inBlocks(x) && inBlocks(y);
}

void winogradLay(CpuCompiler &c, TensorId id) { laid(c, id, *loopsFor(c.type(id))); }

void winogradForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, const ConvGeometry &geometry,
                     bool accumulate) {
  const Loops &loops = *loopsFor(c.type(y));
  Activation in(c.operand(x), loops), out = laid(c, y, loops);
  Cut cut(in, loops.lanes, out.view.blocks, !geometry.transposed);
  withElement(c.type(y), [&]<class T>() {
    Convolution<T> of{{c, loops, cut}, in, {}, accumulate};
    forBranches(Kernels(weights), out, geometry, [&](const Kernels &kernels, const Activation &part) {
      of.branches.push_back({kernels, part});
    });
    c.loop([of] { of.run(); });
  });
  c.note("winograd");
}

void winogradDataGradient(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx,
                          const ConvGeometry &geometry) {
  const Loops &loops = *loopsFor(c.type(dy));
  Activation gradient(c.operand(dy), loops), result = laid(c, dx, loops);
  withElement(c.type(dx), [&]<class T>() {
    std::vector<Convolution<T>> sum;
    forBranches(Kernels(weights), gradient, geometry, [&](const Kernels &kernels, const Activation &part) {
      Phases<T> phases =
          sum.empty() ? Phases<T>(c, loops, Cut(part, loops.lanes, result.view.blocks, true)) : sum.front().phases;
      sum.push_back({phases, part, {{kernels.mirrored(), result}}, !sum.empty()});
    });
    c.loop([sum] {
      for (const auto &term : sum) term.run();
    });
  });
  c.note("winograd");
}

void winogradWeightGradient(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights,
                            const ConvGeometry &geometry) {
  const Loops &loops = *loopsFor(c.type(dy));
  Activation in(c.operand(x), loops), gradient(c.operand(dy), loops);
  Cut cut(in, loops.lanes, gradient.view.blocks, false);
  withElement(c.type(dy), [&]<class T>() {
    WeightGradient<T> of{{c, loops, cut}, in, {}};
    forBranches(Kernels(dweights), gradient, geometry, [&](const Kernels &kernels, const Activation &part) {
      of.branches.push_back({kernels, part});
    });
    c.loop([of] { of.run(); });
  });
  c.note("winograd");
}

}  // namespace semgen::cpu
