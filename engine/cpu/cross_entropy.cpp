// Softmax cross-entropy: one label a position, a position being a row of [N, C] or a voxel of [N, X, Y, Z, C].
#include <cmath>

#include "engine/checks.h"
#include "engine/cpu/chunks.h"
#include "engine/cpu/losses.h"

namespace semgen::cpu {

namespace {

struct Tally {
  double loss = 0;
  int64_t correct = 0, stray = -1;  // the first position whose label names no class
  void operator+=(const Tally &other) {
    loss += other.loss;
    correct += other.correct;
    if (stray < 0) stray = other.stray;
  }
};

/// Adds one position's loss, and replaces its logits by their gradient, times scale.
void score(float *logits, int64_t classes, int32_t label, double scale, Tally &tally) {
  // The first of equals is on top, as in most frameworks' argmax.
  int64_t top = std::max_element(logits, logits + classes) - logits;
  tally.correct += top == label;
  float largest = logits[top], margin = logits[label] - largest;
  double total = 0;
  for (int64_t k = 0; k < classes; ++k) total += logits[k] = std::exp(logits[k] - largest);
  tally.loss += std::log(total) - margin;
  float share = float(scale / total);
  for (int64_t k = 0; k < classes; ++k) logits[k] *= share;
  logits[label] = float(scale * (std::exp(double(margin)) / total - 1));
}

void softmaxCrossEntropy(CpuCompiler &c, const Operation &op) {
  LossInput logits = lossInput(c, op, "logits", "dlogits");
  Shape positions = c.program.shape(op.at("logits"));
  int64_t classes = logits.values.channels();
  positions.pop_back();
  requireShape(c.program, op, "labels", positions);
  requireType(c.program, op, "labels", DType::i32);
  TensorId labels = op.at("labels"), loss = scalar(c, op, "loss", DType::f32);
  std::optional<TensorId> correct;
  if (op.has("correct")) correct = scalar(c, op, "correct", DType::i32);
  RowBuffers buffers(c, logits.values, 1);
  double scale = op.number("weight") / double(logits.values.positions());
  c.loop([=, &c] {
    const int32_t *named = c.data<int32_t>(labels);
    Tally tally = sumInChunks(logits.values.positions(), buffers.length(), [&](int64_t first, int64_t last) {
      Tally partial;
      float *rows = buffers.mine(0);
      logits.values.load(first, last, rows);
      for (int64_t i = first; i < last; ++i) {
        bool known = named[i] >= 0 && named[i] < classes;
        if (known) score(rows + (i - first) * classes, classes, named[i], scale, partial);
        if (!known && partial.stray < 0) partial.stray = i;
      }
      if (logits.gradient) logits.gradient->store(first, last, rows);
      return partial;
    });
    if (tally.stray >= 0)
      throw Error("NATIVE", "Label " + std::to_string(named[tally.stray]) + " at position " +
                                std::to_string(tally.stray) + " names none of " + std::to_string(classes) +
                                " classes (they count from 0).");
    c.data<float>(loss)[0] = float(tally.loss * scale);
    if (correct) c.data<int32_t>(*correct)[0] = int32_t(tally.correct);
  });
}

}  // namespace

const std::vector<Registration> crossEntropyOperations = {{"softmax_cross_entropy", softmaxCrossEntropy}};

}  // namespace semgen::cpu
