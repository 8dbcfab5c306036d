// Losses with a target for every element: value and gradient in one pass, float64 sums in a fixed order.
#include "engine/cpu/losses.h"

#include <cmath>

#include "engine/checks.h"
#include "engine/cpu/chunks.h"

namespace semgen::cpu {

LossInput lossInput(CpuCompiler &c, const Operation &op, const char *input, const char *gradient) {
  Operand operand = c.operand(op.at(input));
  LossInput result{Rows(c, operand), std::nullopt};
  if (op.has(gradient)) {
    requireSameShape(c.program, op, input, gradient);
    result.gradient.emplace(c, c.place(op.at(gradient), operand.desc));
  }
  return result;
}

TensorId scalar(CpuCompiler &c, const Operation &op, const char *role, DType type) {
  requireShape(c.program, op, role, {1});
  requireType(c.program, op, role, type);
  return c.place(op.at(role), c.dense(op.at(role), {1}).desc).id;
}

namespace {

Rows targetRows(CpuCompiler &c, const Operation &op, const char *input) {
  requireSameShape(c.program, op, input, "target");
  return Rows(c, c.operand(op.at("target")));
}

float sigmoid(float logit) { return 1 / (1 + std::exp(-logit)); }

struct Term {
  double value;
  float derivative, output;
};

/// A loss that is a mean over elements, by term(x, target).
template <class TermOf>
void meanLoss(CpuCompiler &c, const Operation &op, const char *input, const char *gradient, TermOf term) {
  LossInput x = lossInput(c, op, input, gradient);
  Rows target = targetRows(c, op, input);
  std::optional<Rows> output;
  if (op.has("output")) {
    requireSameShape(c.program, op, input, "output");
    output.emplace(c, c.place(op.at("output"), c.operand(op.at(input)).desc));
  }
  TensorId loss = scalar(c, op, "loss", DType::f32);
  RowBuffers buffers(c, target, 2);
  double scale = op.number("weight") / double(target.positions() * target.channels());
  c.loop([=, &c] {
    double sum = sumInChunks(target.positions(), buffers.length(), [&](int64_t first, int64_t last) {
      float *values = buffers.mine(0), *targets = buffers.mine(1);
      x.values.load(first, last, values);
      target.load(first, last, targets);
      double partial = 0;
      for (int64_t i = 0; i < (last - first) * target.channels(); ++i) {
        Term now = term(values[i], targets[i]);
        partial += now.value;
        values[i] = float(now.derivative * scale);
        targets[i] = now.output;
      }
      if (x.gradient) x.gradient->store(first, last, values);
      if (output) output->store(first, last, targets);
      return partial;
    });
    c.data<float>(loss)[0] = float(sum * scale);
  });
}

void sigmoidMse(CpuCompiler &c, const Operation &op) {
  meanLoss(c, op, "logits", "dlogits", [](float logit, float target) {
    float p = sigmoid(logit), difference = p - target;
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
    float p = sigmoid(logit);
    double value = std::max(logit, 0.0f) - double(logit) * target + std::log1p(std::exp(-std::fabs(logit)));
    return Term{value, p - target, p};
  });
}

struct Overlap {
  double shared = 0, sizes = 0;  // sums of p t, and of p + t
  void operator+=(const Overlap &other) { shared += other.shared, sizes += other.sizes; }
};

/// Milletari et al. 2016, on sigmoid probabilities, over the whole batch.
void dice(CpuCompiler &c, const Operation &op) {
  LossInput logits = lossInput(c, op, "logits", "dlogits");
  Rows target = targetRows(c, op, "logits");
  TensorId loss = scalar(c, op, "loss", DType::f32);
  RowBuffers buffers(c, target, 2);
  double weight = op.number("weight"), smooth = op.number("smooth");
  c.loop([=, &c] {
    auto load = [&](int64_t first, int64_t last) {
      float *p = buffers.mine(0), *t = buffers.mine(1);
      logits.values.load(first, last, p);
      target.load(first, last, t);
      int64_t count = (last - first) * target.channels();
      for (int64_t i = 0; i < count; ++i) p[i] = sigmoid(p[i]);
      return std::tuple{p, t, count};
    };
    Overlap sums = sumInChunks(target.positions(), buffers.length(), [&](int64_t first, int64_t last) {
      auto [p, t, count] = load(first, last);
      Overlap partial;
      for (int64_t i = 0; i < count; ++i) partial += {double(p[i]) * t[i], double(p[i]) + t[i]};
      return partial;
    });
    double numerator = 2 * sums.shared + smooth, denominator = sums.sizes + smooth;
    c.data<float>(loss)[0] = float(weight * (1 - numerator / denominator));
    if (!logits.gradient) return;
    // d/dp of 1 - numerator / denominator = same - other * t.
    float same = float(weight * numerator / (denominator * denominator)), other = float(2 * weight / denominator);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < target.positions(); first += buffers.length()) {
      int64_t last = std::min(target.positions(), first + buffers.length());
      auto [p, t, count] = load(first, last);
      for (int64_t i = 0; i < count; ++i) p[i] = (same - other * t[i]) * p[i] * (1 - p[i]);
      logits.gradient->store(first, last, p);
    }
  });
}

}  // namespace

const std::vector<Registration> lossOperations = {
    {"sigmoid_mse", sigmoidMse},
    {"mse", mse},
    {"bce_with_logits", bceWithLogits},
    {"dice", dice},
};

}  // namespace semgen::cpu
