// Optimizers over all tensors in one launch, which also squares the gradients it reads for their norm. A table in
// device memory, filled once, says where the tensors lie; a block takes one piece of at most 4,096 elements of one of
// them. Memory-bound: Adam reads four float32 and writes three an element. Element by element, and sums in a fixed
// order, so the bits are the same whatever the launch.
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

constexpr int64_t pieceLength = 4096;

/// A piece of a parameter, its gradient, and up to two tensors of the optimizer's own.
struct Piece {
  float *parameter;
  const float *gradient;
  float *first, *second;
  int64_t count;
};

/// hyper and step as the elements need them, computed once by one thread.
struct AdamStep {
  float rate, beta1, beta2, epsilon, decay, correction;
};

/// Kingma and Ba 2015. Bias corrections in float64, the rest in float32, as PyTorch.
struct BeginAdam {
  const float *hyper;
  float *step;
  AdamStep *now;
  SEMGEN_DEVICE void operator()(int64_t) const {
    double count = double(step[0] += 1);
    now->rate = float(double(hyper[0]) / (1 - pow(double(hyper[1]), count)));
    now->beta1 = hyper[1];
    now->beta2 = hyper[2];
    now->epsilon = hyper[3];
    now->decay = hyper[4];
    now->correction = float(sqrt(1 - pow(double(hyper[2]), count)));
  }
};

/// One block's threads bring the squares of their gradients together.
SEMGEN_DEVICE void storeSquares(double squares, double *partial) {
  double sum = sumOverBlock(squares);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// partial[block]: the sum of the squares of a piece of the gradients.
__global__ void __launch_bounds__(sumThreads) adamPieces(const Piece *pieces, const AdamStep *step, double *partial) {
  Piece piece = pieces[blockIdx.x];
  AdamStep s = *step;
  double squares = 0;
  for (int64_t i = threadIdx.x; i < piece.count; i += sumThreads) {
    float p = piece.parameter[i], g = piece.gradient[i], gradient = g + s.decay * p;
    squares += double(g) * g;
    float m = s.beta1 * piece.first[i] + (1 - s.beta1) * gradient;
    float v = s.beta2 * piece.second[i] + (1 - s.beta2) * gradient * gradient;
    piece.first[i] = m;
    piece.second[i] = v;
    piece.parameter[i] = p - s.rate * m / (sqrtf(v) / s.correction + s.epsilon);
  }
  storeSquares(squares, partial);
}

/// hyper = [learning rate, momentum, weight decay]. PyTorch's SGD.
__global__ void __launch_bounds__(sumThreads) sgdPieces(const Piece *pieces, const float *hyper, double *partial) {
  Piece piece = pieces[blockIdx.x];
  float rate = hyper[0], momentum = hyper[1], decay = hyper[2];
  double squares = 0;
  for (int64_t i = threadIdx.x; i < piece.count; i += sumThreads) {
    float p = piece.parameter[i], g = piece.gradient[i];
    squares += double(g) * g;
    float v = momentum * piece.first[i] + g + decay * p;
    piece.first[i] = v;
    piece.parameter[i] = p - rate * v;
  }
  storeSquares(squares, partial);
}

struct FinishNorm {
  float *norm;
  SEMGEN_DEVICE void finish(const double (&sums)[1]) const {
    norm[0] = float(sqrt(sums[0]));
    // Squares of float32 cannot overflow float64: the sum is finite when every gradient is.
    norm[1] = isfinite(sums[0]) ? 1.0f : 0.0f;
  }
};

void finishNorm(cudaStream_t stream, float *norm, int64_t pieces, const double *squares) {
  launch(stream, sumPartials<FinishNorm, 1>, Grid{1}, Block{sumThreads}, 0, FinishNorm{norm}, pieces, squares);
}

/// A device table of pieces, filled before the first run, and where each piece's squares go.
struct Table {
  std::shared_ptr<Buffer> memory;
  int64_t pieces = 0;
  TensorId squares;
  const Piece *data() const { return static_cast<const Piece *>(memory->data()); }
};

/// @param first, second  roles of the optimizer's own tensors, which go with the parameters one for one; second may be
///                       null
Table tableOf(CudaCompiler &c, const Operation &op, const char *first, const char *second) {
  std::vector<std::pair<size_t, int64_t>> places;  // tensor, first element
  const auto &all = op.list("parameters");
  for (size_t tensor = 0; tensor < all.size(); ++tensor)
    for (int64_t at = 0; at < elements(c.shape(all[tensor])); at += pieceLength) places.push_back({tensor, at});
  Table table{c.table(places.size() * sizeof(Piece)), int64_t(places.size()),
              c.scratch(places.size() * sizeof(double))};
  c.once([=, &c] {
    auto at = [&](const char *role, size_t tensor, int64_t element) {
      return role ? c.data<float>(op.list(role)[tensor]) + element : nullptr;
    };
    std::vector<Piece> pieces;
    for (auto [tensor, element] : places) {
      int64_t left = elements(c.shape(op.list("parameters")[tensor])) - element;
      pieces.push_back({at("parameters", tensor, element), at("gradients", tensor, element), at(first, tensor, element),
                        at(second, tensor, element), left < pieceLength ? left : pieceLength});
    }
    c.fill(*table.memory, pieces.data());
  });
  return table;
}

/// Float32 lists that go with the parameters, one for one, as many settings as the optimizer has, and a norm.
void checkLists(CudaCompiler &c, const Operation &op, std::initializer_list<const char *> roles, int64_t settings) {
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
    for (size_t i = 0; fits && i < tensors.size(); ++i) fits = c.shape(tensors[i]) == c.shape(parameters[i]);
    if (!fits) throw Error("NATIVE", op.name + " needs as many \"" + role + "\" as parameters, of their shapes.");
  }
}

void adam(CudaCompiler &c, const Operation &op) {
  checkLists(c, op, {"gradients", "moments1", "moments2"}, 5);
  requireShape(c.program, op, "step", {1});
  requireType(c.program, op, "step", DType::f32);
  Table table = tableOf(c, op, "moments1", "moments2");
  c.step([=, &c, hyper = op.at("hyper"), step = op.at("step"), norm = op.at("norm"),
          now = c.scratch(sizeof(AdamStep))](cudaStream_t stream) {
    map(stream, BeginAdam{c.data<float>(hyper), c.data<float>(step), c.data<AdamStep>(now)}, 1);
    double *squares = c.data<double>(table.squares);
    launch(stream, adamPieces, Grid{unsigned(table.pieces)}, Block{sumThreads}, 0, table.data(), c.data<AdamStep>(now),
           squares);
    finishNorm(stream, c.data<float>(norm), table.pieces, squares);
  });
}

void sgd(CudaCompiler &c, const Operation &op) {
  checkLists(c, op, {"gradients", "velocities"}, 3);
  Table table = tableOf(c, op, "velocities", nullptr);
  c.step([=, &c, hyper = op.at("hyper"), norm = op.at("norm")](cudaStream_t stream) {
    double *squares = c.data<double>(table.squares);
    launch(stream, sgdPieces, Grid{unsigned(table.pieces)}, Block{sumThreads}, 0, table.data(), c.data<float>(hyper),
           squares);
    finishNorm(stream, c.data<float>(norm), table.pieces, squares);
  });
}

}  // namespace

const std::vector<Registration> optimizerOperations = {{"adam", adam}, {"sgd", sgd}};

}  // namespace semgen::cuda
