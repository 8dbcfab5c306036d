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
    case dnnl::cpu_isa::avx2_vnni:
      return type == Type::f32 ? &avx2 : nullptr;
    case dnnl::cpu_isa::avx512_core:
    case dnnl::cpu_isa::avx512_core_vnni:
      return type == Type::f32 ? &avx512 : nullptr;
    case dnnl::cpu_isa::avx512_core_bf16:
      return &avx512Bf16;
    case dnnl::cpu_isa::avx512_core_amx:
      return type == Type::f32 ? &avx512 : nullptr;
    default:
      return nullptr;
  }
}

/// The phases of a convolution, each a parallel loop, and scratch for what they hand on. Where threads work on parts or
/// pairs of their own the phases are called inside of a parallel loop over these, and are loops of one thread.
template <class T>
struct Phases {
  CpuCompiler &c;
  const Loops &loops;
  Cut cut;
  TensorId inputs, outputs, kernels;

  Phases(CpuCompiler &c, const Loops &loops, const Cut &cut) : c(c), loops(loops), cut(cut) {
    auto floats = [&](int64_t sets, int64_t stride) {
      return c.program.scratch(size_t(sets * cut.reached() * stride) * sizeof(float));
    };
    inputs = floats(ownsRows() ? c.threads : 1, cut.inputStride());
    outputs = floats(cut.own != Own::nothing ? c.threads : 1, cut.outputStride());
    kernels = floats(cut.own == Own::pairs ? c.threads : cut.groups, cut.kernelStride());
  }
  float *input() const { return at(inputs, ownsRows() ? thread() : 0, cut.inputStride()); }
  float *output() const { return at(outputs, cut.own != Own::nothing ? thread() : 0, cut.outputStride()); }
  float *kernel(int64_t group = 0) const {
    return at(kernels, cut.own == Own::pairs ? thread() : group, cut.kernelStride());
  }

  /// The input at the points: a part's planes, and one more at either end where products sum over taps.
  void takeInput(const Activation &x, const Part &part) const {
    const T *from = c.data<const T>(x.id);
    float *to = input();
    int64_t tiles = part.tileRows * cut.tilesZ, planes = part.planes + cut.morePlanes();
    int64_t first = part.plane - cut.morePlanes() / 2;
#pragma omp parallel for collapse(3) schedule(static)
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t p = 0; p < planes; ++p)
        for (int64_t block = 0; block < cut.inBlocks; ++block) {
          int64_t row = block * cut.inputTiles() + (n * planes + p) * tiles;
          loops.transforms<T>().input(x.tiles(from, part, n, first + p, cut.depth, block, {0, cut.inBlocks}),
                                      PointRows{to + row * cut.lanes, cut.inputStride()});
        }
  }

  /// body(tiles, these at the points) for a part of the convolution's output, or of the gradient of that.
  template <class Element, class Body>
  void forOutput(const Activation &y, Element *data, const Part &part, const Blocks &out, Body &&body) const {
    float *at = output();
    int64_t tiles = part.tileRows * cut.tilesZ;
#pragma omp parallel for collapse(3) schedule(static)
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t p = 0; p < part.planes; ++p)
        for (int64_t block = out.first; block < out.last; ++block) {
          int64_t row = (block - out.first) * cut.outputTiles() + (n * part.planes + p) * tiles;
          body(y.tiles(data, part, n, part.plane + p, cut.depth, block, out),
               PointRows{at + row * cut.lanes, cut.outputStride()});
        }
  }

  /// body(pair, i) for pairs of output blocks, the last one perhaps alone, and i below count.
  template <class Body>
  void forPairs(const Blocks &out, int64_t count, Body &&body) const {
    int64_t pairs = parts(out.count(), 2);
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t pair = 0; pair < pairs; ++pair)
      for (int64_t i = 0; i < count; ++i) {
        int64_t first = out.first + 2 * pair;
        body(Blocks{first, std::min(out.last, first + 2)}, i);
      }
  }

  /// body(lane 0's kernel in memory, all lanes' at the points) for an output block and an input channel at a time. The
  /// kernels of a pair of output blocks lie beside each other: [tap][channel][block][lane].
  template <class Body>
  void forKernels(const Kernels &k, const Blocks &out, const Blocks &in, Body &&body) const {
    float *at = kernel();
    int64_t channels = in.count() * cut.lanes;
    forPairs(out, channels, [&](const Blocks &pair, int64_t i) {
      float *to = at + cut.kernelFloats(pair.first - out.first) + i * pair.count() * cut.lanes;
      for (int64_t block = pair.first; block < pair.last; ++block, to += cut.lanes)
        body(k.at(block * cut.lanes, in.first * cut.lanes + i),
             PointKernels{to, cut.kernelStride(), channels * pair.count() * cut.lanes, cut.depth, cut.groups,
                          cut.reached() * cut.kernelStride()});
    });
  }

  /// body(branch, output blocks) for all of these.
  template <class Branch, class Body>
  void forBlocks(const std::vector<Branch> &branches, Body &&body) const {
    int64_t turns = parts(cut.outBlocks, cut.outBlocksAtATime), count = int64_t(branches.size()) * turns;
    auto turn = [&](int64_t i) {
      int64_t first = i % turns * cut.outBlocksAtATime;
      body(branches[size_t(i / turns)], Blocks{first, std::min(cut.outBlocks, first + cut.outBlocksAtATime)});
    };
    if (cut.own != Own::pairs) {
      for (int64_t i = 0; i < count; ++i) turn(i);
      return;
    }
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < count; ++i) turn(i);
  }

  /// body(group, its first part, the first one behind it) for all groups of parts.
  template <class Body>
  void forGroups(Body &&body) const {
    auto group = [&](int64_t i) { body(i, cut.firstOf(i), cut.firstOf(i + 1)); };
    if (cut.own != Own::groups) {
      for (int64_t i = 0; i < cut.groups; ++i) group(i);
      return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < cut.groups; ++i) group(i);
  }

 private:
  bool ownsRows() const { return cut.own == Own::parts || cut.own == Own::groups; }
  static int64_t thread() { return omp_get_ancestor_thread_num(1); }
  /// One of the sets of a scratch tensor.
  float *at(TensorId id, int64_t set, int64_t stride) const { return c.data<float>(id) + set * cut.reached() * stride; }
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
    if (cut.own != Own::parts) {
      for (int64_t i = 0; i < cut.count(); ++i) {
        Part part = cut.at(i);
        phases.takeInput(x, part);
        phases.forBlocks(branches, [&](const Branch &branch, const Blocks &out) { convolve(branch, part, out); });
      }
      return;
    }
    const Branch &only = branches.front();
    Blocks in{0, cut.inBlocks}, out{0, cut.outBlocks};
    takeKernels(only.kernels, out, in);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < cut.count(); ++i) {
      Part part = cut.at(i);
      phases.takeInput(x, part);
      multiply(only.kernels, part, out, in);
      giveOutput(only, part, out);
    }
  }

 private:
  void convolve(const Branch &branch, const Part &part, const Blocks &out) const {
    phases.cut.forInBlocks([&](const Blocks &in) {
      takeKernels(branch.kernels, out, in);
      multiply(branch.kernels, part, out, in);
    });
    giveOutput(branch, part, out);
  }

  void takeKernels(const Kernels &kernels, const Blocks &out, const Blocks &in) const {
    const float *weights = phases.c.template data<const float>(kernels.id);
    phases.forKernels(kernels, out, in, [&](int64_t from, const PointKernels &to) {
      phases.loops.kernels(weights + from, kernels.view, to);
    });
  }

  /// Adds what these input channels give to the output at the points; the first ones overwrite it.
  void multiply(const Kernels &kernels, const Part &part, const Blocks &out, const Blocks &in) const {
    const Cut &cut = phases.cut;
    const Taps taps = cut.tapsOf(kernels);
    const float *rows = phases.input(), *at = phases.kernel();
    float *results = phases.output();
    int64_t tiles = part.tileRows * cut.tilesZ, plane = tiles * cut.lanes;
    int64_t inBlock = cut.inputTiles() * cut.lanes, outBlock = cut.outputTiles() * cut.lanes;
    phases.forPairs(out, cut.reached(), [&](const Blocks &pair, int64_t point) {
      Product product{taps.count(), plane, in.count(), inBlock, outBlock, pair.count(), in.first > 0};
      const float *from = rows + point * cut.inputStride() + in.first * inBlock + taps.first * plane;
      float *sums = results + point * cut.outputStride() + (pair.first - out.first) * outBlock;
      for (int64_t n = 0; n < part.images;
           ++n, from += (part.planes + cut.morePlanes()) * plane, sums += part.planes * plane)
        if (kernels.reachPoint(point))
          phases.loops.multiply(product, from,
                                at + point * cut.kernelStride() + cut.kernelFloats(pair.first - out.first), sums,
                                part.planes * tiles);
        else
          for (int64_t b = 0; b < pair.count(); ++b) std::fill_n(sums + b * outBlock, part.planes * plane, 0.0f);
    });
  }

  void giveOutput(const Branch &branch, const Part &part, const Blocks &out) const {
    phases.forOutput(branch.y, phases.c.template data<T>(branch.y.id), part, out,
                     [&](const Tiles<T> &to, const PointRows &from) {
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
    // One part stays transformed for all blocks and branches.
    bool taken = cut.count() == 1;
    if (taken) phases.takeInput(x, cut.at(0));
    phases.forBlocks(branches, [&](const Branch &branch, const Blocks &out) {
      cut.forInBlocks([&](const Blocks &in) {
        phases.forGroups([&](int64_t group, int64_t first, int64_t last) {
          for (int64_t i = first; i < last; ++i) {
            Part part = cut.at(i);
            if (!taken) phases.takeInput(x, part);
            // Where input channels take turns there is but one part, whose gradient stays.
            if (in.first == 0)
              phases.forOutput(branch.dy, phases.c.template data<const T>(branch.dy.id), part, out,
                               phases.loops.template transforms<T>().gradient);
            addProducts(branch.kernels, part, out, in, phases.kernel(group), i > first);
          }
        });
        float *result = phases.c.template data<float>(branch.kernels.id);
        phases.forKernels(branch.kernels, out, in, [&](int64_t to, const PointKernels &from) {
          phases.loops.kernelGradients(from, result + to, branch.kernels.view);
        });
      });
    });
  }

 private:
  void addProducts(const Kernels &kernels, const Part &part, const Blocks &out, const Blocks &in, float *at,
                   bool add) const {
    const Cut &cut = phases.cut;
    const float *rows = phases.input(), *gradients = phases.output();
    int64_t tiles = part.tileRows * cut.tilesZ, plane = tiles * cut.lanes;
    int64_t inBlock = cut.inputTiles() * cut.lanes, outBlock = cut.outputTiles() * cut.lanes;
    const Taps taps = cut.tapsOf(kernels);
    phases.forPairs(out, cut.reached(), [&](const Blocks &pair, int64_t point) {
      if (!kernels.reachPoint(point)) return;
      float *to = at + point * cut.kernelStride() + cut.kernelFloats(pair.first - out.first);
      const float *gradient = gradients + point * cut.outputStride() + (pair.first - out.first) * outBlock;
      for (int64_t tap = taps.first; tap < taps.last; ++tap)
        for (int64_t i = in.first; i < in.last; ++i, to += cut.lanes * pair.count() * cut.lanes) {
          const float *values = rows + point * cut.inputStride() + i * inBlock + tap * plane;
          for (int64_t n = 0; n < part.images; ++n)
            phases.loops.multiplyTransposed(values + n * (part.planes + cut.morePlanes()) * plane,
                                            gradient + n * part.planes * plane, outBlock, pair.count(), to,
                                            part.planes * tiles, add || n > 0);
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
  int64_t tilesAlongX = images * parts(y, tileExtent) * parts(z, tileExtent);
  double voxels = double(images * x * y * z), rows = double(tilesAlongX * x);
  double in = double(inChannels), out = double(outChannels);
  // In multiplications of float32, the transforms as measured on Zen 4. With AVX2, oneDNN's weight gradients are
  // products of patches written out, which makes the three directions together a third slower, as measured on Zen 3.
  // In bfloat16 two directions take half the time, and the weight gradient as long as in float32.
  double rate = loops == &avx2 ? 1.35 : type == Type::bf16 ? 0.67 : 1.0;
  // Of tiles two planes deep twice the points of one, without taps; these sums are short, and products a tenth slower.
  double taps = Cut::depthOf(x, tilesAlongX * x) == 1 ? 3 : 2.2;
  double transforms = rows * (1000 * in + 700 * out) + 2500 * in * out, products = taps * points * rows * in * out;
  double direct = rate * 27.0 * voxels * in * out;
  if (doubling) {
    double branches = double(Parity::count);
    transforms = rows * (1000 * in + 700 * out * branches) + 2500 * in * out * branches;
    products = 2 * 25 * rows * in * out * branches;
    direct = rate * 64.0 * voxels * in * out;
  }
  return std::min(1.0, (products + transforms) / direct);
}

bool winogradServes(const CpuCompiler &c, TensorId x, TensorId y, const Operand &weights,
                    const ConvGeometry &geometry) {
  bool doubling = geometry == winogradDoubling;
  int64_t extent = doubling ? 4 : 3;
  Dims kernel = weights.desc.dims(), in = c.dims(x), out = c.dims(y);
  if (!(doubling || geometry == winogradSame) || Dims(kernel.begin() + 2, kernel.end()) != Dims(3, extent))
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
  Work work = geometry.transposed ? Work::someTapsOfOneInput : Work::convolution;
  Cut cut(in, loops.lanes, out.view.blocks, work, c.threads);
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
      Work work = geometry.transposed ? Work::someTaps : Work::convolution;
      Phases<T> phases = sum.empty() ? Phases<T>(c, loops, Cut(part, loops.lanes, result.view.blocks, work, c.threads))
                                     : sum.front().phases;
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
  Work work = geometry.transposed ? Work::someTapsGradients : Work::weightGradient;
  Cut cut(in, loops.lanes, gradient.view.blocks, work, c.threads);
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
