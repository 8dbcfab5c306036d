// Optimizers over all tensors at once: one parallel pass, each element on its own and the norm in a fixed order, so any
// number of threads gives the same bits.
#include <cmath>

#include "engine/checks.h"
#include "engine/cpu/chunks.h"
#include "engine/cpu/compiler.h"
#include "engine/host/clones.h"

namespace semgen::cpu {

namespace {

/// Elements of several tensors as pieces of at most 16 Ki elements, for threads to share.
struct Piece {
  size_t tensor;
  int64_t first, last;
};

std::vector<Piece> piecesOf(CpuCompiler &c, const std::vector<TensorId> &tensors) {
  constexpr int64_t length = 16384;  // four float32 of each: 256 KiB, well within a cache
  std::vector<Piece> pieces;
  for (size_t i = 0; i < tensors.size(); ++i) {
    int64_t count = elements(c.program.shape(tensors[i]));
    for (int64_t first = 0; first < count; first += length)
      pieces.push_back({i, first, std::min(count, first + length)});
  }
  return pieces;
}

/// Float32 lists that go with the parameters, one for one, as many settings as the optimizer has, and a norm.
void checkLists(CpuCompiler &c, const Operation &op, std::initializer_list<const char *> roles, int64_t settings) {
  const auto &parameters = op.list("parameters");
  requireType(c.program, op, "parameters", DType::f32);
  requireType(c.program, op, "hyper", DType::f32);
  requireShape(c.program, op, "hyper", {settings});
  requireType(c.program, op, "norm", DType::f32);
  requireShape(c.program, op, "norm", {2});
  for (const char *role : roles) {
    requireType(c.program, op, role, DType::f32);
    const auto &tensors = op.list(role);
    bool fits = tensors.size() == parameters.size();
    for (size_t i = 0; fits && i < tensors.size(); ++i)
      fits = c.program.shape(tensors[i]) == c.program.shape(parameters[i]);
    if (!fits) throw Error("NATIVE", op.name + " needs as many \"" + role + "\" as parameters, of their shapes.");
  }
}

/// Sum of squares in float64, in eight running sums: a fixed order that vectors can follow.
SEMGEN_CLONES double squares(const float *values, int64_t count) {
  double sums[8] = {};
  int64_t whole = count / 8 * 8;
  for (int64_t i = 0; i < whole; i += 8)
    for (int lane = 0; lane < 8; ++lane) sums[lane] += double(values[i + lane]) * values[i + lane];
  for (int64_t i = whole; i < count; ++i) sums[i - whole] += double(values[i]) * values[i];
  for (int half = 4; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

/// update(piece, its gradients) for every piece, and the norm of all gradients. A piece's are squared right before the
/// update reads them, so they come from memory once.
template <class Update>
void updatePieces(CpuCompiler &c, const std::vector<Piece> &pieces, const std::vector<TensorId> &gradients,
                  TensorId norm, Update &&update) {
  double total = sumInChunks(int64_t(pieces.size()), 1, [&](int64_t index, int64_t) {
    const Piece &piece = pieces[size_t(index)];
    const float *gradient = c.data<float>(gradients[piece.tensor]);
    double sum = squares(gradient + piece.first, piece.last - piece.first);
    update(piece, gradient);
    return sum;
  });
  float *result = c.data<float>(norm);
  result[0] = float(std::sqrt(total));
  // Squares of float32 cannot overflow float64: the sum is finite when every gradient is.
  result[1] = std::isfinite(total) ? 1.0f : 0.0f;
}

TensorId placeNorm(CpuCompiler &c, const Operation &op) {
  return c.place(op.at("norm"), c.dense(op.at("norm"), {2}).desc).id;
}

struct AdamStep {
  float rate, beta1, beta2, epsilon, decay, correction;
};

SEMGEN_CLONES void updateAdam(AdamStep s, float *p, const float *g, float *m, float *v, int64_t first, int64_t last) {
#pragma omp simd
  for (int64_t i = first; i < last; ++i) {
    float gradient = g[i] + s.decay * p[i];
    m[i] = s.beta1 * m[i] + (1 - s.beta1) * gradient;
    v[i] = s.beta2 * v[i] + (1 - s.beta2) * gradient * gradient;
    p[i] -= s.rate * m[i] / (std::sqrt(v[i]) / s.correction + s.epsilon);
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
          hyper = op.at("hyper"), norm = placeNorm(c, op)] {
    const float *h = c.data<float>(hyper);
    float beta1 = h[1], beta2 = h[2];
    double count = double(++c.data<float>(step)[0]);
    float rate = float(double(h[0]) / (1 - std::pow(double(beta1), count)));
    float correction = float(std::sqrt(1 - std::pow(double(beta2), count)));
    AdamStep now{rate, beta1, beta2, h[3], h[4], correction};
    updatePieces(c, pieces, gradients, norm, [&](const Piece &piece, const float *gradient) {
      updateAdam(now, c.data<float>(parameters[piece.tensor]), gradient, c.data<float>(moments1[piece.tensor]),
                 c.data<float>(moments2[piece.tensor]), piece.first, piece.last);
    });
  });
}

SEMGEN_CLONES void updateSgd(float rate, float momentum, float decay, float *p, const float *g, float *v, int64_t first,
                             int64_t last) {
#pragma omp simd
  for (int64_t i = first; i < last; ++i) {
    v[i] = momentum * v[i] + g[i] + decay * p[i];
    p[i] -= rate * v[i];
  }
}

void sgd(CpuCompiler &c, const Operation &op) {
  checkLists(c, op, {"gradients", "velocities"}, 3);
  const auto parameters = op.list("parameters"), gradients = op.list("gradients"), velocities = op.list("velocities");
  c.loop([&c, parameters, gradients, velocities, pieces = piecesOf(c, parameters), hyper = op.at("hyper"),
          norm = placeNorm(c, op)] {
    const float *h = c.data<float>(hyper);
    updatePieces(c, pieces, gradients, norm, [&](const Piece &piece, const float *gradient) {
      updateSgd(h[0], h[1], h[2], c.data<float>(parameters[piece.tensor]), gradient,
                c.data<float>(velocities[piece.tensor]), piece.first, piece.last);
    });
  });
}

}  // namespace

const std::vector<Registration> optimizerOperations = {{"adam", adam}, {"sgd", sgd}};

}  // namespace semgen::cpu
