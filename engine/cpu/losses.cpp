// Losses: value and gradient in one pass, float64 sums in a fixed order.
#include <atomic>
#include <cmath>

#include "engine/cpu/chunks.h"
#include "engine/cpu/values.h"

namespace semgen::cpu {

namespace {

/// Logits in any layout, beside a dense target (and output) [N, X, Y, Z, C].
struct Sides {
  Operand logits, gradient;
  bool wanted;  // the gradient
  ChannelView view;
  int64_t count;  // elements without padding
};

Sides sidesOf(CpuCompiler &c, const Operation &op, const char *input, const char *output) {
  Operand logits = c.operand(op.at(input));
  bool wanted = op.has(output);
  Operand gradient = wanted ? c.writing(op.at(output), logits.desc) : logits;
  ChannelView view(logits.desc);
  return {logits, gradient, wanted, view, view.images * view.voxels * view.channels};
}

void checkTarget(CpuCompiler &c, const Operation &op, const Sides &sides, TensorId target) {
  if (c.program.dtype(target) != DType::f32 || elements(c.program.shape(target)) != sides.count)
    throw Error("NATIVE", op.name + " takes a target of as many elements as its logits, not " +
                              describe(c.program.shape(target)) + ".");
}

/// Padding of a gradient in a blocked layout, which convolutions read: zeros.
template <class T>
void clearPadding(const ChannelView &view, T *gradient) {
  if (view.channels % view.lanes == 0) return;
  int64_t b = view.blocks - 1;
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t n = 0; n < view.images; ++n)
    for (int64_t v = 0; v < view.voxels; ++v)
      for (int64_t lane = view.lanesIn(b); lane < view.lanes; ++lane)
        store(gradient + n * view.strideN + b * view.strideBlock + v * view.strideVoxel + lane, 0.0f);
}

/// One pass of a loss that is a mean over elements. term(logit, target) gives the loss and its derivative.
template <class Term>
void meanLoss(CpuCompiler &c, const Operation &op, const char *input, const char *gradientRole, Term term) {
  Sides sides = sidesOf(c, op, input, gradientRole);
  TensorId target = op.at("target"), loss = op.at("loss");
  checkTarget(c, op, sides, target);
  TensorId output = op.has("output") ? op.at("output") : -1;
  double scale = op.number("weight") / double(sides.count);
  withType(sides.logits.desc.data_type(), [&]<class T>() {
    c.loop([&c, sides, target, output, loss, scale, term] {
      const ChannelView &view = sides.view;
      const T *logits = c.data<T>(sides.logits.id);
      const float *wanted = c.data<float>(target);
      float *shown = output >= 0 ? c.data<float>(output) : nullptr;
      T *gradient = sides.wanted ? c.data<T>(sides.gradient.id) : nullptr;
      double sum = sumInChunks(sides.count, [&](int64_t first, int64_t last) {
        double partial = 0;
        for (int64_t i = first; i < last; ++i) {
          int64_t voxel = i / view.channels;
          int64_t at = view.at(voxel / view.voxels, i % view.channels, voxel % view.voxels);
          auto [value, derivative, seen] = term(toFloat(logits[at]), wanted[i]);
          partial += value;
          if (gradient) store(gradient + at, float(derivative * scale));
          if (shown) shown[i] = seen;
        }
        return partial;
      });
      if (gradient) clearPadding(view, gradient);
      c.data<float>(loss)[0] = float(sum * scale);
    });
  });
  if (sides.wanted) c.finishWriting(op.at(gradientRole), sides.gradient);
}

struct Term {
  double value;
  float derivative, seen;
};

void sigmoidMse(CpuCompiler &c, const Operation &op) {
  meanLoss(c, op, "logits", "dlogits", [](float logit, float target) {
    float p = 1 / (1 + std::exp(-logit));
    float difference = p - target;
    return Term{double(difference) * difference, 2 * difference * p * (1 - p), p};
  });
}

void mse(CpuCompiler &c, const Operation &op) {
  meanLoss(c, op, "x", "dx", [](float x, float target) {
    float difference = x - target;
    return Term{double(difference) * difference, 2 * difference, x};
  });
}

void bceWithLogits(CpuCompiler &c, const Operation &op) {
  meanLoss(c, op, "logits", "dlogits", [](float logit, float target) {
    double value = std::max(logit, 0.0f) - double(logit) * target + std::log1p(std::exp(-std::fabs(double(logit))));
    float p = 1 / (1 + std::exp(-logit));
    return Term{value, p - target, p};
  });
}

/// One label a position: positions are rows of [N, C] or voxels of [N, X, Y, Z, C].
void softmaxCrossEntropy(CpuCompiler &c, const Operation &op) {
  Sides sides = sidesOf(c, op, "logits", "dlogits");
  TensorId labels = op.at("labels"), loss = op.at("loss"), correct = op.has("correct") ? op.at("correct") : -1;
  int64_t positions = sides.view.images * sides.view.voxels;
  if (c.program.dtype(labels) != DType::i32 || elements(c.program.shape(labels)) != positions)
    throw Error("NATIVE", op.name + " takes one i32 label a position: " + std::to_string(positions) + ", not " +
                              describe(c.program.shape(labels)) + ".");
  double scale = op.number("weight") / double(positions);
  withType(sides.logits.desc.data_type(), [&]<class T>() {
    c.loop([&c, sides, labels, loss, correct, positions, scale] {
      const ChannelView &view = sides.view;
      const T *logits = c.data<T>(sides.logits.id);
      const int32_t *named = c.data<int32_t>(labels);
      T *gradient = sides.wanted ? c.data<T>(sides.gradient.id) : nullptr;
      std::atomic<int64_t> hits{0};
      std::atomic<int32_t> stray{0};
      double sum = sumInChunks(positions, [&](int64_t first, int64_t last) {
        double partial = 0;
        int64_t right = 0;
        for (int64_t i = first; i < last; ++i) {
          int64_t n = i / view.voxels, v = i % view.voxels;
          auto logit = [&](int64_t channel) { return double(toFloat(logits[view.at(n, channel, v)])); };
          int64_t label = named[i], top = 0;
          if (label < 0 || label >= view.channels) {
            stray = named[i] == 0 ? -1 : named[i];
            continue;
          }
          for (int64_t channel = 1; channel < view.channels; ++channel)
            if (logit(channel) > logit(top)) top = channel;
          double largest = logit(top), total = 0;
          for (int64_t channel = 0; channel < view.channels; ++channel) total += std::exp(logit(channel) - largest);
          partial += largest + std::log(total) - logit(label);
          right += top == label;
          if (!gradient) continue;
          for (int64_t channel = 0; channel < view.channels; ++channel) {
            double p = std::exp(logit(channel) - largest) / total;
            store(gradient + view.at(n, channel, v), float((p - (channel == label)) * scale));
          }
        }
        hits += right;
        return partial;
      });
      if (stray)
        throw Error("NATIVE", "A label of " + std::to_string(stray) + " does not name one of " +
                                  std::to_string(view.channels) + " classes.");
      if (gradient) clearPadding(view, gradient);
      c.data<float>(loss)[0] = float(sum * scale);
      if (correct >= 0) c.data<int32_t>(correct)[0] = int32_t(hits);
    });
  });
  if (sides.wanted) c.finishWriting(op.at("dlogits"), sides.gradient);
}

/// Milletari et al. 2016, on sigmoid probabilities, over the whole batch.
void dice(CpuCompiler &c, const Operation &op) {
  Sides sides = sidesOf(c, op, "logits", "dlogits");
  TensorId target = op.at("target"), loss = op.at("loss");
  checkTarget(c, op, sides, target);
  double weight = op.number("weight"), smooth = op.number("smooth");
  withType(sides.logits.desc.data_type(), [&]<class T>() {
    c.loop([&c, sides, target, loss, weight, smooth] {
      const ChannelView &view = sides.view;
      const T *logits = c.data<T>(sides.logits.id);
      const float *wanted = c.data<float>(target);
      auto probability = [&](int64_t i, int64_t *at) {
        int64_t voxel = i / view.channels;
        *at = view.at(voxel / view.voxels, i % view.channels, voxel % view.voxels);
        return 1 / (1 + std::exp(-toFloat(logits[*at])));
      };
      auto sumOf = [&](auto term) {
        return sumInChunks(sides.count, [&](int64_t first, int64_t last) {
          double partial = 0;
          for (int64_t i = first; i < last; ++i) {
            int64_t at;
            partial += term(probability(i, &at), wanted[i]);
          }
          return partial;
        });
      };
      double overlap = sumOf([](float p, float t) { return double(p) * t; });
      double sizes = sumOf([](float p, float t) { return double(p) + t; });
      double numerator = 2 * overlap + smooth, denominator = sizes + smooth;
      c.data<float>(loss)[0] = float(weight * (1 - numerator / denominator));
      if (!sides.wanted) return;
      T *gradient = c.data<T>(sides.gradient.id);
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < sides.count; ++i) {
        int64_t at;
        double p = probability(i, &at);
        double slope = (2 * wanted[i] * denominator - numerator) / (denominator * denominator);
        store(gradient + at, float(-weight * slope * p * (1 - p)));
      }
      clearPadding(view, gradient);
    });
  });
  if (sides.wanted) c.finishWriting(op.at("dlogits"), sides.gradient);
}

}  // namespace

const std::vector<Registration> lossOperations = {
    {"sigmoid_mse", sigmoidMse},
    {"mse", mse},
    {"bce_with_logits", bceWithLogits},
    {"softmax_cross_entropy", softmaxCrossEntropy},
    {"dice", dice},
};

}  // namespace semgen::cpu
