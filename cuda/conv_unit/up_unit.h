// The decoder's first unit and its gradient.
#pragma once
#include "cuda/compiler.h"

namespace semgen::cuda {

void upUnit(CudaCompiler &c, const Operation &operation);
void upUnitGrad(CudaCompiler &c, const Operation &operation);

}  // namespace semgen::cuda
