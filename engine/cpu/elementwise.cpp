// Operations on one element at a time, in the layout of their first input.
#include <cmath>

#include "engine/checks.h"
#include "engine/cpu/values.h"

namespace semgen::cpu {

namespace {

int64_t paddedCount(const Desc &desc) { return int64_t(desc.get_size() / (desc.data_type() == Type::bf16 ? 2 : 4)); }

/// y[i] = f(a[i], b[i]) over two tensors of one layout, padding included: zeros stay zeros where f(0, 0) is 0.
template <class F>
void zip(CpuCompiler &c, const Operand &a, const Operand &b, const Operand &y, F f) {
  withType(a.desc.data_type(), [&]<class T>() {
    c.loop([&c, count = paddedCount(a.desc), a = a.id, b = b.id, y = y.id, f] {
      const T *first = c.data<T>(a), *second = c.data<T>(b);
      T *result = c.data<T>(y);
#pragma omp parallel for simd schedule(static)
      for (int64_t i = 0; i < count; ++i) store(result + i, f(toFloat(first[i]), toFloat(second[i])));
    });
  });
}

void add(CpuCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "a", "b");
  requireSameShape(c.program, op, "a", "y");
  Operand a = c.operand(op.at("a"));
  Operand b = c.reading(op.at("b"), a.desc);
  Operand y = c.writing(op.at("y"), a.desc);
  zip(c, a, b, y, [](float x, float z) { return x + z; });
  c.finishWriting(op.at("y"), y);
}

void sigmoid(CpuCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "x", "y");
  Operand x = c.operand(op.at("x"));
  Operand y = c.writing(op.at("y"), x.desc);
  ChannelView view(x.desc);
  withType(x.desc.data_type(), [&]<class T>() {
    c.loop([&c, view, x = x.id, y = y.id] {
      const T *values = c.data<T>(x);
      T *result = c.data<T>(y);
#pragma omp parallel for collapse(3) schedule(static)
      for (int64_t n = 0; n < view.images; ++n)
        for (int64_t b = 0; b < view.blocks; ++b)
          for (int64_t v = 0; v < view.voxels; ++v)
            for (int64_t lane = 0; lane < view.storedIn(b); ++lane) {
              int64_t at = n * view.strideN + b * view.strideBlock + v * view.strideVoxel + lane;
              bool real = b * view.lanes + lane < view.channels;  // padding stays zero
              store(result + at, real ? 1 / (1 + std::exp(-toFloat(values[at]))) : 0.0f);
            }
    });
  });
  c.finishWriting(op.at("y"), y);
}

void sigmoidGrad(CpuCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "y", "dy");
  requireSameShape(c.program, op, "y", "dx");
  Operand y = c.operand(op.at("y"));
  Operand dy = c.reading(op.at("dy"), y.desc);
  Operand dx = c.writing(op.at("dx"), y.desc);
  zip(c, y, dy, dx, [](float value, float gradient) { return gradient * value * (1 - value); });
  c.finishWriting(op.at("dx"), dx);
}

/// Whatever its layout and type, into those of y.
void cast(CpuCompiler &c, const Operation &op) {
  requireSameShape(c.program, op, "x", "y");
  Operand x = c.operand(op.at("x"));
  c.reorder(x, c.place(op.at("y"), x.desc));
}

}  // namespace

const std::vector<Registration> elementwiseOperations = {
    {"add", add}, {"sigmoid", sigmoid}, {"sigmoid_grad", sigmoidGrad}, {"cast", cast}};

}  // namespace semgen::cpu
