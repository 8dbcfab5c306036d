#include "cuda/conv3d/workbench.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/timing.h"

namespace semgen::cuda {

namespace {

constexpr size_t blockElements = 1 << 20;

/// Of a weights' view: where its elements lie about the first.
struct Span {
  int64_t low = 0, high = 0;
  void reach(int64_t stride, int64_t count) {
    low += std::min<int64_t>(0, stride * (count - 1));
    high += std::max<int64_t>(0, stride * (count - 1));
  }
};

Span spanOf(const WeightsView &view, int rows, int depth, const Lattice &lattice) {
  Span span;
  span.reach(view.rowStride, rows);
  span.reach(view.depthStride, depth);
  span.reach(view.tapStride, 1 + *std::max_element(lattice.tap, lattice.tap + std::max(1, lattice.taps)));
  return span;
}

int64_t volume(Int3 of) { return int64_t(of.x) * of.y * of.z; }

/// Uniform in [-1, 1), the same on every machine; exact in bfloat16.
std::vector<float> noiseBlock() {
  std::vector<float> values(blockElements);
  uint32_t state = 1;
  for (float &value : values) {
    state = state * 1664525u + 1013904223u;
    value = float(int(state >> 24) - 128) / 128;
  }
  return values;
}

void *at(const std::shared_ptr<Buffer> &buffer) { return buffer ? buffer->data() : nullptr; }

}  // namespace

Workbench::Workbench(Device &device, cudaStream_t stream, const ChosenShape &shape, std::string key)
    : device_(device), stream_(stream), shape_(shape), key_(std::move(key)) {
  if (const auto *s = std::get_if<ConvolveShape>(&shape_)) {
    const Lattice &l = s->lattice;
    DType type = resultType_ = s->arithmetic == Arithmetic::bf16 ? DType::bf16 : DType::f32;
    int depth = s->inChannels[0] + s->inChannels[1];
    Span span = spanOf(s->weights, s->outChannels[0] + s->outChannels[1], depth, l);
    firstWeight_ = -span.low;
    factor_ = noise(span.high - span.low + 1, DType::f32);
    int taps = 0;
    for (int c = 0; c < l.classes; ++c) taps = std::max(taps, l.cls[c].taps);
    products_ = double(taps) * depth;
    for (int i = 0; i < 2; ++i) {
      if (s->inChannels[i] > 0) inputs_[i] = noise(l.images * volume(l.in) * s->inChannels[i], type);
      resultCounts_[i] = l.images * volume(l.out) * s->outChannels[i];
    }
  } else {
    const auto &g = std::get<WeightGradientShape>(shape_);
    const Lattice &l = g.lattice;
    DType type = g.arithmetic == Arithmetic::bf16 ? DType::bf16 : DType::f32;
    resultType_ = DType::f32;
    Span span = spanOf(g.view, g.plain, g.gathered[0] + g.gathered[1], l);
    firstWeight_ = -span.low;
    resultCounts_[0] = span.high - span.low + 1;
    for (int i = 0; i < 2; ++i)
      if (g.gathered[i] > 0) inputs_[i] = noise(l.images * volume(l.in) * g.gathered[i], type);
    factor_ = noise(l.images * volume(l.out) * g.plain, type);
    products_ = double(l.images) * double(volume(l.out));
  }
  for (int i = 0; i < 2; ++i) {
    size_t bytes = size_t(resultCounts_[i]) * sizeOf(resultType_);
    if (bytes == 0) continue;
    expected_[i] = device_.allocate(bytes, "what a choice is compared with");
    found_[i] = device_.allocate(bytes, "the result of a choice");
  }
  run(shape_, 1, expected_);
}

std::shared_ptr<Buffer> Workbench::noise(int64_t elements, DType type) {
  static const std::vector<float> block = noiseBlock();
  std::vector<uint16_t> halves;
  const void *from = block.data();
  if (type == DType::bf16) {
    for (float value : block) {
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      halves.push_back(uint16_t(bits >> 16));
    }
    from = halves.data();
  }
  std::shared_ptr<Buffer> buffer = device_.allocate(size_t(elements) * sizeOf(type), "noise to tune with");
  for (int64_t first = 0; first < elements; first += blockElements)
    device_.upload(static_cast<char *>(buffer->data()) + size_t(first) * sizeOf(type), from,
                   size_t(std::min<int64_t>(blockElements, elements - first)) * sizeOf(type));
  return buffer;
}

std::vector<double> Workbench::run(const ChosenShape &shape, int runs, const std::shared_ptr<Buffer> (&results)[2]) {
  std::vector<double> seconds;
  TimingEvent before, after;
  auto time = [&](auto &&body) {
    for (int i = 0; i < runs; ++i) {
      before.record(stream_);
      body();
      after.record(stream_);
      seconds.push_back(after.secondsSince(before));
    }
  };
  if (const auto *s = std::get_if<ConvolveShape>(&shape)) {
    std::shared_ptr<Buffer> packed = device_.allocate(std::max<size_t>(16, s->packedBytes()), "packed weights");
    std::shared_ptr<Buffer> partial;
    if (s->partialBytes() > 0) partial = device_.allocate(s->partialBytes(), "partial sums");
    ConvolvePointers pointers{static_cast<const float *>(at(factor_)) + firstWeight_,
                              at(packed),
                              static_cast<float4 *>(at(partial)),
                              {at(inputs_[0]), at(inputs_[1])},
                              {nullptr, nullptr},
                              {at(results[0]), at(results[1])}};
    time([&] {
      packWeights(stream_, *s, pointers);
      convolve(stream_, *s, pointers);
    });
  } else {
    const auto &g = std::get<WeightGradientShape>(shape);
    std::shared_ptr<Buffer> partial;
    if (g.partialBytes() > 0) partial = device_.allocate(g.partialBytes(), "partial sums");
    WeightGradientPointers pointers{{at(inputs_[0]), at(inputs_[1])},
                                    {nullptr, nullptr},
                                    at(factor_),
                                    static_cast<float *>(at(partial)),
                                    static_cast<float *>(at(results[0])) + firstWeight_};
    time([&] { weightGradient(stream_, g, pointers); });
  }
  return seconds;
}

TileTrial Workbench::measure(const ChosenShape &shape, int runs) {
  std::vector<double> seconds = run(shape, runs, found_);
  // Each addition rounds to 2^-24 of the sum so far: a random walk, of which tensor cores, that cut instead of
  // rounding, walk longer steps. A result stored as bfloat16 is rounded to 2^-9 once more, here or there.
  double tolerance = std::ldexp(std::sqrt(products_), -21) + (resultType_ == DType::bf16 ? std::ldexp(1, -8) : 0);
  return {seconds, error(), tolerance};
}

double Workbench::error() const {
  double differences = 0, values = 0;
  size_t size = sizeOf(resultType_);
  std::vector<char> a(blockElements * size), b(blockElements * size);
  auto value = [&](const std::vector<char> &from, int64_t i) {
    uint32_t bits = 0;
    if (size == 4) {
      std::memcpy(&bits, &from[size_t(i) * 4], 4);
    } else {
      uint16_t half;
      std::memcpy(&half, &from[size_t(i) * 2], 2);
      bits = uint32_t(half) << 16;
    }
    float result;
    std::memcpy(&result, &bits, 4);
    return double(result);
  };
  for (int k = 0; k < 2; ++k)
    for (int64_t first = 0; first < resultCounts_[k]; first += blockElements) {
      int64_t count = std::min<int64_t>(blockElements, resultCounts_[k] - first);
      device_.download(a.data(), static_cast<char *>(expected_[k]->data()) + size_t(first) * size,
                       size_t(count) * size);
      device_.download(b.data(), static_cast<char *>(found_[k]->data()) + size_t(first) * size, size_t(count) * size);
      for (int64_t i = 0; i < count; ++i) {
        double expected = value(a, i), difference = value(b, i) - expected;
        differences += difference * difference;
        values += expected * expected;
      }
    }
  return differences == 0 ? 0 : std::sqrt(differences / values);
}

}  // namespace semgen::cuda
