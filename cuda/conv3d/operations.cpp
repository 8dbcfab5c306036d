// conv3d and its gradient.
#include "cuda/conv3d/pieces.h"

namespace semgen::cuda {

static void conv3d(CudaCompiler &c, const Operation &op) {
  convInputs(c, op, op.at("y"), geometryOf(c, op), op.has("bias") ? op.at("bias") : none);
}

static void conv3dGrad(CudaCompiler &c, const Operation &op) {
  convGradients(c, op, op.at("dy"), geometryOf(c, op));
  if (op.has("dbias")) addChannelSums(c, op.at("dy"), op.at("dbias"));
}

const std::vector<Registration> conv3dOperations = {{"conv3d", conv3d}, {"conv3d_grad", conv3dGrad}};

}  // namespace semgen::cuda
