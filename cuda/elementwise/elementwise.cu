// Operations on one element at a time: add, sigmoid and its gradient, cast. Memory-bound: each element read and written
// once, neighbouring threads at neighbouring elements. An addition of a pooling's gradient writes nothing where a conv
// unit's gradient can add for itself.
#include "cuda/norm/norm.h"
#include "cuda/pool/halving.h"
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

SEMGEN_DEVICE float logistic(float x) { return 1 / (1 + expf(-x)); }

struct Add {
  Values a, b;
  Places y;
  SEMGEN_DEVICE void operator()(int64_t i) const { y.set(i, a[i] + b[i]); }
};
struct Sigmoid {
  Values x;
  Places y;
  SEMGEN_DEVICE void operator()(int64_t i) const { y.set(i, logistic(x[i])); }
};
struct SigmoidGrad {
  Values y, dy;
  Places dx;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    float value = y[i];
    dx.set(i, dy[i] * value * (1 - value));
  }
};
struct Cast {
  Values x;
  Places y;
  SEMGEN_DEVICE void operator()(int64_t i) const { y.set(i, x[i]); }
};

int64_t countOf(const CudaCompiler &c, TensorId id) { return elements(c.shape(id)); }

void add(CudaCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "a", "b");
  requireSameShape(c.program, op, "a", "y");
  for (auto [role, otherRole] : {std::pair{"a", "b"}, {"b", "a"}})
    if (const UnwrittenPoolGradient *pooled = c.unwritten<UnwrittenPoolGradient>(op.at(role))) {
      if (unitsGradientAlone(c, op.at("y")))
        return c.leaveUnwritten(op.at("y"), UnwrittenSum{op.at(otherRole), *pooled});
      return c.step([&c, shape = halvingOf(c, pooled->dy), from = *pooled, other = op.at(otherRole),
                     y = op.at("y")](cudaStream_t stream) {
        spread(stream, shape, c.data(from.mask), c.data(from.dy), c.data(other), c.data(y));
      });
    }
  c.step([&c, a = op.at("a"), b = op.at("b"), y = op.at("y")](cudaStream_t stream) {
    map(stream, Add{valuesOf(c, a), valuesOf(c, b), placesOf(c, y)}, countOf(c, y));
  });
}

void sigmoid(CudaCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "x", "y");
  c.step([&c, x = op.at("x"), y = op.at("y")](cudaStream_t stream) {
    map(stream, Sigmoid{valuesOf(c, x), placesOf(c, y)}, countOf(c, y));
  });
}

void sigmoidGrad(CudaCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "y", "dy");
  requireSameShape(c.program, op, "y", "dx");
  c.step([&c, y = op.at("y"), dy = op.at("dy"), dx = op.at("dx")](cudaStream_t stream) {
    map(stream, SigmoidGrad{valuesOf(c, y), valuesOf(c, dy), placesOf(c, dx)}, countOf(c, dx));
  });
}

void cast(CudaCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "x", "y");
  c.step([&c, x = op.at("x"), y = op.at("y")](cudaStream_t stream) {
    map(stream, Cast{valuesOf(c, x), placesOf(c, y)}, countOf(c, y));
  });
}

}  // namespace

const std::vector<Registration> elementwiseOperations = {
    {"add", add}, {"sigmoid", sigmoid}, {"sigmoid_grad", sigmoidGrad}, {"cast", cast}};

}  // namespace semgen::cuda
