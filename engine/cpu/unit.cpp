// The conv unit: convolution + bias + batch normalisation + ReLU, and its gradient.
#include "engine/cpu/unit.h"

#include <cstring>

#include "engine/cpu/convolution.h"
#include "engine/cpu/norm.h"

namespace semgen::cpu {

void biasGradient(CpuCompiler &c, const Operation &op, TensorId dz) {
  TensorId dbias = op.at("dbias");
  if (normParameters(op).batchStatistics)
    c.loop([&c, dbias, bytes = size_t(elements(c.program.shape(dbias))) * sizeof(float)] {
      std::memset(c.data<float>(dbias), 0, bytes);
    });
  else
    sumOverVoxels(c, dz, dbias);
}

static void convUnit(CpuCompiler &c, const Operation &op) {
  ConvGeometry geometry = geometryOf(op);
  convInputs(c, op, op.at("z"), geometry);
  normForward(c, op, {op.at("bias")});
}

static void convUnitGrad(CpuCompiler &c, const Operation &op) {
  ConvGeometry geometry = geometryOf(op);
  TensorId dz = normBackward(c, op);
  biasGradient(c, op, dz);
  convGradients(c, op, dz, geometry);
}

const std::vector<Registration> unitOperations = {
    {"conv_unit", convUnit},
    {"conv_unit_grad", convUnitGrad},
    {"up_unit", upUnit},
    {"up_unit_grad", upUnitGrad},
};

}  // namespace semgen::cpu
