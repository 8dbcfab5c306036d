// The linear layer, as matrix products of oneDNN.
#include <dnnl.h>

#include "engine/checks.h"
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

namespace {

struct Sizes {
  int64_t rows, in, out;
};

/// `y`: the role that has the extents of the output.
Sizes sizesOf(CpuCompiler &c, const Operation &op, const char *y) {
  const Shape &x = c.program.shape(op.at("x")), &weight = c.program.shape(op.at("weight"));
  if (x.size() != 2 || weight.size() != 2 || x[1] != weight[1])
    throw Error("NATIVE", "A linear layer of weight " + describe(weight) + " does not take " + describe(x) + ".");
  requireShape(c.program, op, y, {x[0], weight[0]});
  return {x[0], weight[1], weight[0]};
}

Operand plain(CpuCompiler &c, TensorId id) { return c.reading(id, Desc(c.dims(id), Type::f32, Tag::ab)); }

void multiply(char transposeA, char transposeB, int64_t m, int64_t n, int64_t depth, const float *a, int64_t rowA,
              const float *b, int64_t rowB, float *result) {
  if (dnnl_sgemm(transposeA, transposeB, m, n, depth, 1.0f, a, rowA, b, rowB, 0.0f, result, n) != dnnl_success)
    throw Error("NATIVE", "oneDNN refused a matrix product of a linear layer.");
}

void linear(CpuCompiler &c, const Operation &op) {
  Sizes s = sizesOf(c, op, "y");
  requireShape(c.program, op, "bias", {s.out});
  Operand x = plain(c, op.at("x"));
  Operand y = c.writing(op.at("y"), Desc({s.rows, s.out}, Type::f32, Tag::ab));
  c.loop([&c, s, x = x.id, y = y.id, weight = op.at("weight"), bias = op.at("bias")] {
    float *result = c.data<float>(y);
    multiply('N', 'T', s.rows, s.out, s.in, c.data<float>(x), s.in, c.data<float>(weight), s.in, result);
    for (int64_t i = 0; i < s.rows * s.out; ++i) result[i] += c.data<float>(bias)[i % s.out];
  });
  c.finishWriting(op.at("y"), y);
}

void linearGrad(CpuCompiler &c, const Operation &op) {
  Sizes s = sizesOf(c, op, "dy");
  requireShape(c.program, op, "dweight", {s.out, s.in});
  requireShape(c.program, op, "dbias", {s.out});
  Operand x = plain(c, op.at("x")), dy = plain(c, op.at("dy"));
  c.loop([&c, s, x = x.id, dy = dy.id, dweight = op.at("dweight"), dbias = op.at("dbias")] {
    const float *gradient = c.data<float>(dy);
    multiply('T', 'N', s.out, s.in, s.rows, gradient, s.out, c.data<float>(x), s.in, c.data<float>(dweight));
    for (int64_t o = 0; o < s.out; ++o) {
      double sum = 0;
      for (int64_t n = 0; n < s.rows; ++n) sum += gradient[n * s.out + o];
      c.data<float>(dbias)[o] = float(sum);
    }
  });
  if (!op.has("dx")) return;
  requireShape(c.program, op, "dx", {s.rows, s.in});
  Operand dx = c.writing(op.at("dx"), Desc({s.rows, s.in}, Type::f32, Tag::ab));
  c.loop([&c, s, dy = dy.id, dx = dx.id, weight = op.at("weight")] {
    multiply('N', 'N', s.rows, s.in, s.out, c.data<float>(dy), s.out, c.data<float>(weight), s.in, c.data<float>(dx));
  });
  c.finishWriting(op.at("dx"), dx);
}

}  // namespace

const std::vector<Registration> linearOperations = {{"linear", linear}, {"linear_grad", linearGrad}};

}  // namespace semgen::cpu
