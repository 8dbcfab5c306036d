// Optimizers over all tensors at once: one parallel pass, each element on its own, so any number of threads gives the
// same bits.
#include <cmath>

#include "engine/checks.h"
#include "engine/cpu/chunks.h"
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

namespace {

/// Elements of several tensors as pieces of at most 64 Ki elements, for threads to share.
struct Piece {
  size_t tensor;
  int64_t first, last;
};

std::vector<Piece> piecesOf(CpuCompiler &c, const std::vector<TensorId> &tensors) {
  constexpr int64_t length = 65536;
  std::vector<Piece> pieces;
  for (size_t i = 0; i < tensors.size(); ++i) {
    int64_t count = elements(c.program.shape(tensors[i]));
    for (int64_t first = 0; first < count; first += length)
      pieces.push_back({i, first, std::min(count, first + length)});
  }
  return pieces;
}

/// Float32 lists that go with the parameters, one for one, and as many settings as the optimizer has.
void checkLists(CpuCompiler &c, const Operation &op, std::initializer_list<const char *> roles, int64_t settings) {
  const auto &parameters = op.list("parameters");
  requireType(c.program, op, "parameters", DType::f32);
  requireType(c.program, op, "hyper", DType::f32);
  requireShape(c.program, op, "hyper", {settings});
  for (const char *role : roles) {
    requireType(c.program, op, role, DType::f32);
    const auto &tensors = op.list(role);
    bool fits = tensors.size() == parameters.size();
    for (size_t i = 0; fits && i < tensors.size(); ++i)
      fits = c.program.shape(tensors[i]) == c.program.shape(parameters[i]);
    if (!fits) throw Error("NATIVE", op.name + " needs as many \"" + role + "\" as parameters, of their shapes.");
  }
}

/// Kingma and Ba 2015. Bias corrections in float64, the rest in float32, as PyTorch.
void adam(CpuCompiler &c, const Operation &op) {
  checkLists(c, op, {"gradients", "moments1", "moments2"}, 5);
  requireShape(c.program, op, "step", {1});
  requireType(c.program, op, "step", DType::f32);
  const auto parameters = op.list("parameters"), gradients = op.list("gradients");
  const auto moments1 = op.list("moments1"), moments2 = op.list("moments2");
  c.loop([&c, parameters, gradients, moments1, moments2, pieces = piecesOf(c, parameters), step = op.at("step"),
          hyper = op.at("hyper")] {
    const float *h = c.data<float>(hyper);
    float beta1 = h[1], beta2 = h[2], epsilon = h[3], decay = h[4];
    double count = double(++c.data<float>(step)[0]);
    float rate = float(double(h[0]) / (1 - std::pow(double(beta1), count)));
    float correction = float(std::sqrt(1 - std::pow(double(beta2), count)));
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < pieces.size(); ++k) {
      const Piece &piece = pieces[k];
      float *p = c.data<float>(parameters[piece.tensor]), *m = c.data<float>(moments1[piece.tensor]);
      float *v = c.data<float>(moments2[piece.tensor]);
      const float *g = c.data<float>(gradients[piece.tensor]);
#pragma omp simd
      for (int64_t i = piece.first; i < piece.last; ++i) {
        float gradient = g[i] + decay * p[i];
        m[i] = beta1 * m[i] + (1 - beta1) * gradient;
        v[i] = beta2 * v[i] + (1 - beta2) * gradient * gradient;
        p[i] -= rate * m[i] / (std::sqrt(v[i]) / correction + epsilon);
      }
    }
  });
}

void sgd(CpuCompiler &c, const Operation &op) {
  checkLists(c, op, {"gradients", "velocities"}, 3);
  const auto parameters = op.list("parameters"), gradients = op.list("gradients"), velocities = op.list("velocities");
  c.loop([&c, parameters, gradients, velocities, pieces = piecesOf(c, parameters), hyper = op.at("hyper")] {
    const float *h = c.data<float>(hyper);
    float rate = h[0], momentum = h[1], decay = h[2];
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < pieces.size(); ++k) {
      const Piece &piece = pieces[k];
      float *p = c.data<float>(parameters[piece.tensor]), *v = c.data<float>(velocities[piece.tensor]);
      const float *g = c.data<float>(gradients[piece.tensor]);
#pragma omp simd
      for (int64_t i = piece.first; i < piece.last; ++i) {
        v[i] = momentum * v[i] + g[i] + decay * p[i];
        p[i] -= rate * v[i];
      }
    }
  });
}

/// Sum of squares in float64, in eight running sums: a fixed order that vectors can follow.
__attribute__((target_clones("avx512f", "avx2", "default"))) double squares(const float *values, int64_t count) {
  double sums[8] = {};
  int64_t whole = count / 8 * 8;
  for (int64_t i = 0; i < whole; i += 8)
    for (int lane = 0; lane < 8; ++lane) sums[lane] += double(values[i + lane]) * values[i + lane];
  for (int64_t i = whole; i < count; ++i) sums[i - whole] += double(values[i]) * values[i];
  for (int half = 4; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

void gradientNorm(CpuCompiler &c, const Operation &op) {
  requireType(c.program, op, "gradients", DType::f32);
  requireType(c.program, op, "norm", DType::f32);
  requireShape(c.program, op, "norm", {2});
  const auto gradients = op.list("gradients");
  Operand norm = c.place(op.at("norm"), c.dense(op.at("norm"), {2}).desc);
  c.loop([&c, gradients, pieces = piecesOf(c, gradients), norm = norm.id] {
    double total = sumInChunks(int64_t(pieces.size()), 1, [&](int64_t first, int64_t) {
      const Piece &piece = pieces[size_t(first)];
      return squares(c.data<float>(gradients[piece.tensor]) + piece.first, piece.last - piece.first);
    });
    float *result = c.data<float>(norm);
    result[0] = float(std::sqrt(total));
    // Squares of float32 cannot overflow float64: the sum is finite when every gradient is.
    result[1] = std::isfinite(total) ? 1.0f : 0.0f;
  });
}

}  // namespace

const std::vector<Registration> optimizerOperations = {{"adam", adam}, {"sgd", sgd}, {"gradient_norm", gradientNorm}};

}  // namespace semgen::cpu
