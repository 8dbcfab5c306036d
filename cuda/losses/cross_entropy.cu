// Softmax cross-entropy: one label a position, a position being a row of [N, C] or a voxel of [N, X, Y, Z, C]. A
// position a thread, which reads its C logits three times, mostly from cache, and writes their gradient once; sums in a
// fixed order.
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

/// A complaint about a position is this minus it: the largest is about the first.
constexpr int firstWins = 0x7fffffff;

struct CrossEntropy {
  Values logits;
  const int32_t *labels;
  Places gradient;
  int64_t classes;
  double scale;
  float *loss;
  int32_t *correct;  // may be null
  int *complaint;

  SEMGEN_DEVICE void term(int64_t position, double (&sums)[2]) const {
    int32_t label = labels[position];
    int64_t first = position * classes;
    if (label < 0 || label >= classes) {
      atomicMax(complaint, firstWins - int(position));
      return;
    }
    // The first of equals is on top, as in most frameworks' argmax.
    int64_t top = 0;
    float largest = logits[first];
    for (int64_t k = 1; k < classes; ++k) {
      float value = logits[first + k];
      if (!(value > largest)) continue;
      largest = value;
      top = k;
    }
    double total = 0;
    for (int64_t k = 0; k < classes; ++k) total += expf(logits[first + k] - largest);
    float margin = logits[first + label] - largest;
    sums[0] += log(total) - margin;
    sums[1] += top == label ? 1 : 0;
    if (!gradient.data) return;
    float share = float(scale / total);
    for (int64_t k = 0; k < classes; ++k) {
      float value = expf(logits[first + k] - largest) * share;
      gradient.set(first + k, k == label ? float(scale * (exp(double(margin)) / total - 1)) : value);
    }
  }
  SEMGEN_DEVICE void finish(const double (&sums)[2]) const {
    loss[0] = float(sums[0] * scale);
    if (correct) correct[0] = int32_t(sums[1]);
  }
};

void softmaxCrossEntropy(CudaCompiler &c, const Operation &op) {
  Shape shape = c.shape(op.at("logits"));
  int64_t classes = shape.back();
  shape.pop_back();
  int64_t positions = elements(shape);
  requireShape(c.program, op, "labels", shape);
  requireType(c.program, op, "labels", DType::i32);
  if (op.has("dlogits")) requireSameShape(c.program, op, "logits", "dlogits");
  requireShape(c.program, op, "loss", {1});
  requireType(c.program, op, "loss", DType::f32);
  if (op.has("correct")) {
    requireShape(c.program, op, "correct", {1});
    requireType(c.program, op, "correct", DType::i32);
  }
  int *complaint = c.complaint([&c, classes, labels = op.at("labels")](int value) {
    int position = firstWins - value;
    return "Label " + std::to_string(c.peek<int32_t>(labels, position)) + " at position " + std::to_string(position) +
           " names none of " + std::to_string(classes) + " classes (they count from 0).";
  });
  double scale = op.number("weight") / double(positions);
  c.step([=, &c, partial = c.scratch(size_t(sumBlocks(positions)) * 2 * sizeof(double))](cudaStream_t stream) {
    CrossEntropy body{valuesOf(c, op.at("logits")),
                      c.data<int32_t>(op.at("labels")),
                      placesOf(c, op, "dlogits"),
                      classes,
                      scale,
                      c.data<float>(op.at("loss")),
                      c.dataOf<int32_t>(op, "correct"),
                      complaint};
    sum<2>(stream, body, positions, c.data<double>(partial));
  });
}

}  // namespace

const std::vector<Registration> crossEntropyOperations = {{"softmax_cross_entropy", softmaxCrossEntropy}};

}  // namespace semgen::cuda
