// The linear layer: y [N, O] = x [N, I] weight [O, I]^T + bias. It ends a network, with some dozens of rows and
// outputs, so it is bounded by reading its weight once: a warp an output, lanes along I. Gradients: an element a
// thread, summed in order.
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

struct Sizes {
  int64_t rows, in, out;
};

constexpr int warps = 4;

__global__ void __launch_bounds__(32 * warps)
    multiplyRows(Values x, const float *weight, const float *bias, Places y, Sizes s) {
  int64_t output = int64_t(blockIdx.x) * warps + threadIdx.x / 32;
  if (output >= s.rows * s.out) return;  // whole warps
  int lane = int(threadIdx.x) % 32;
  int64_t row = output / s.out, column = output % s.out;
  float sum = 0;
  for (int64_t i = lane; i < s.in; i += 32) sum = __fmaf_rn(x[row * s.in + i], weight[column * s.in + i], sum);
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (lane == 0) y.set(output, sum + bias[column]);
}

struct GradientOfX {
  Values dy;
  const float *weight;
  Places dx;
  Sizes s;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    int64_t row = i / s.in, column = i % s.in;
    float sum = 0;
    for (int64_t o = 0; o < s.out; ++o) sum = __fmaf_rn(dy[row * s.out + o], weight[o * s.in + column], sum);
    dx.set(i, sum);
  }
};

struct GradientOfWeight {
  Values x, dy;
  float *dweight;
  Sizes s;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    int64_t output = i / s.in, column = i % s.in;
    float sum = 0;
    for (int64_t n = 0; n < s.rows; ++n) sum = __fmaf_rn(dy[n * s.out + output], x[n * s.in + column], sum);
    dweight[i] = sum;
  }
};

struct GradientOfBias {
  Values dy;
  float *dbias;
  Sizes s;
  SEMGEN_DEVICE void operator()(int64_t output) const {
    double sum = 0;
    for (int64_t n = 0; n < s.rows; ++n) sum += dy[n * s.out + output];
    dbias[output] = float(sum);
  }
};

/// `y`: the role that has the extents of the output.
Sizes sizesOf(const CudaCompiler &c, const Operation &op, const char *y) {
  const Shape &x = c.shape(op.at("x")), &weight = c.shape(op.at("weight"));
  if (x.size() != 2 || weight.size() != 2 || x[1] != weight[1])
    throw Error("NATIVE", "A linear layer of weight " + describe(weight) + " does not take " + describe(x) + ".");
  requireShape(c.program, op, y, {x[0], weight[0]});
  return {x[0], weight[1], weight[0]};
}

void linear(CudaCompiler &c, const Operation &op) {
  Sizes s = sizesOf(c, op, "y");
  requireShape(c.program, op, "bias", {s.out});
  c.step([&c, op, s](cudaStream_t stream) {
    launch(stream, multiplyRows, Grid{unsigned((s.rows * s.out + warps - 1) / warps)}, Block{32 * warps}, 0,
           valuesOf(c, op.at("x")), c.data<float>(op.at("weight")), c.data<float>(op.at("bias")),
           placesOf(c, op.at("y")), s);
  });
}

void linearGrad(CudaCompiler &c, const Operation &op) {
  Sizes s = sizesOf(c, op, "dy");
  requireShape(c.program, op, "dweight", {s.out, s.in});
  requireShape(c.program, op, "dbias", {s.out});
  if (op.has("dx")) requireShape(c.program, op, "dx", {s.rows, s.in});
  c.step([&c, op, s](cudaStream_t stream) {
    Values x = valuesOf(c, op.at("x")), dy = valuesOf(c, op.at("dy"));
    map(stream, GradientOfWeight{x, dy, c.data<float>(op.at("dweight")), s}, s.out * s.in);
    map(stream, GradientOfBias{dy, c.data<float>(op.at("dbias")), s}, s.out);
    if (op.has("dx"))
      map(stream, GradientOfX{dy, c.data<float>(op.at("weight")), placesOf(c, op.at("dx")), s}, s.rows * s.in);
  });
}

}  // namespace

const std::vector<Registration> linearOperations = {{"linear", linear}, {"linear_grad", linearGrad}};

}  // namespace semgen::cuda
