// Losses: value and gradient in one pass over the logits, sums in float64 in a fixed order (cuda/values.cuh).
// Memory-bound: logits and target are read once and the gradient is written once; Dice, whose gradient needs the sums,
// reads twice.
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

SEMGEN_DEVICE float logistic(float x) { return 1 / (1 + expf(-x)); }

struct Term {
  float value, derivative, output;
};

struct SigmoidMse {
  static SEMGEN_DEVICE Term term(float logit, float target) {
    float p = logistic(logit), difference = p - target;
    return {difference * difference, 2 * difference * p * (1 - p), p};
  }
};
struct Mse {
  static SEMGEN_DEVICE Term term(float x, float target) {
    float difference = x - target;
    return {difference * difference, 2 * difference, x};
  }
};
struct BceWithLogits {
  static SEMGEN_DEVICE Term term(float logit, float target) {
    float p = logistic(logit);
    return {fmaxf(logit, 0.0f) - logit * target + log1pf(expf(-fabsf(logit))), p - target, p};
  }
};

/// A loss that is a mean over elements.
template <class Loss>
struct MeanLoss {
  Values x, target;
  Places output, gradient;
  double scale;
  float *loss;
  SEMGEN_DEVICE void term(int64_t i, double (&sums)[1]) const {
    Term now = Loss::term(x[i], target[i]);
    sums[0] += now.value;
    gradient.set(i, float(now.derivative * scale));
    output.set(i, now.output);
  }
  SEMGEN_DEVICE void finish(const double (&sums)[1]) const { loss[0] = float(sums[0] * scale); }
};

void requireLoss(const CudaCompiler &c, const Operation &op, const char *input, const char *gradient) {
  requireSameShape(c.program, op, input, "target");
  for (const char *role : {gradient, "output"})
    if (op.has(role)) requireSameShape(c.program, op, input, role);
  requireShape(c.program, op, "loss", {1});
  requireType(c.program, op, "loss", DType::f32);
}

template <class Loss>
void meanLoss(CudaCompiler &c, const Operation &op, const char *input, const char *gradient) {
  requireLoss(c, op, input, gradient);
  int64_t count = elements(c.shape(op.at(input)));
  double scale = op.number("weight") / double(count);
  c.step([=, &c, partial = c.scratch(size_t(sumBlocks(count)) * sizeof(double))](cudaStream_t stream) {
    MeanLoss<Loss> body{valuesOf(c, op.at(input)),
                        valuesOf(c, op.at("target")),
                        placesOf(c, op, "output"),
                        placesOf(c, op, gradient),
                        scale,
                        c.data<float>(op.at("loss"))};
    sum<1>(stream, body, count, c.data<double>(partial));
  });
}

void sigmoidMse(CudaCompiler &c, const Operation &op) { meanLoss<SigmoidMse>(c, op, "logits", "dlogits"); }
void mse(CudaCompiler &c, const Operation &op) { meanLoss<Mse>(c, op, "x", "dx"); }
void bceWithLogits(CudaCompiler &c, const Operation &op) { meanLoss<BceWithLogits>(c, op, "logits", "dlogits"); }

/// Milletari et al. 2016, on sigmoid probabilities, over the whole batch.
struct DiceSums {
  Values logits, target;
  double weight, smooth;
  float *loss;
  float *factors;  // for the gradient: d/dp = factors[0] - factors[1] * t
  SEMGEN_DEVICE void term(int64_t i, double (&sums)[2]) const {
    float p = logistic(logits[i]), t = target[i];
    sums[0] += double(p) * t;
    sums[1] += double(p) + t;
  }
  SEMGEN_DEVICE void finish(const double (&sums)[2]) const {
    double numerator = 2 * sums[0] + smooth, denominator = sums[1] + smooth;
    loss[0] = float(weight * (1 - numerator / denominator));
    factors[0] = float(weight * numerator / (denominator * denominator));
    factors[1] = float(2 * weight / denominator);
  }
};

struct DiceGradient {
  Values logits, target;
  const float *factors;
  Places gradient;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    float p = logistic(logits[i]);
    gradient.set(i, (factors[0] - factors[1] * target[i]) * p * (1 - p));
  }
};

void dice(CudaCompiler &c, const Operation &op) {
  requireLoss(c, op, "logits", "dlogits");
  int64_t count = elements(c.shape(op.at("logits")));
  TensorId partial = c.scratch(size_t(sumBlocks(count)) * 2 * sizeof(double)), factors = c.scratch(2 * sizeof(float));
  c.step([=, &c](cudaStream_t stream) {
    Values logits = valuesOf(c, op.at("logits")), target = valuesOf(c, op.at("target"));
    DiceSums body{
        logits, target, op.number("weight"), op.number("smooth"), c.data<float>(op.at("loss")), c.data<float>(factors)};
    sum<2>(stream, body, count, c.data<double>(partial));
    if (op.has("dlogits"))
      map(stream, DiceGradient{logits, target, c.data<float>(factors), placesOf(c, op, "dlogits")}, count);
  });
}

}  // namespace

const std::vector<Registration> lossOperations = {
    {"sigmoid_mse", sigmoidMse}, {"mse", mse}, {"bce_with_logits", bceWithLogits}, {"dice", dice}};

}  // namespace semgen::cuda
