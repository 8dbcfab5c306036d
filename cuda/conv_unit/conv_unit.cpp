// The conv unit: convolution + bias + batch normalisation + ReLU, and its gradient. The convolution's epilogue takes
// the statistics of z while it is in registers; the bias is never added: batch statistics cancel it, running ones take
// it into the mean.
#include "cuda/conv3d/pieces.h"
#include "cuda/conv_unit/up_unit.h"
#include "cuda/norm/norm.h"

namespace semgen::cuda {

static void convUnit(CudaCompiler &c, const Operation &op) {
  bool batch = normParameters(op).batchStatistics;
  bool known = convInputs(c, op, op.at("z"), geometryOf(c, op), none, batch ? op.at("mean") : none,
                          batch ? op.at("variance") : none);
  normForward(c, op, {op.at("bias")}, known);
}

static void convUnitGrad(CudaCompiler &c, const Operation &op) {
  TensorId dz = normBackward(c, op);
  biasGradient(c, op, dz);
  convGradients(c, op, dz, geometryOf(c, op));
}

const std::vector<Registration> convUnitOperations = {
    {"conv_unit", convUnit},
    {"conv_unit_grad", convUnitGrad},
    {"up_unit", upUnit},
    {"up_unit_grad", upUnitGrad},
};

}  // namespace semgen::cuda
