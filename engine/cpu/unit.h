// What the conv unit and the decoder's unit share.
#pragma once
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

/// dbias from dz. With batch statistics it is exactly zero: a shift of z changes nothing but the running mean.
void biasGradient(CpuCompiler &c, const Operation &operation, TensorId dz);

/// The decoder's first unit and its gradient: up_unit.cpp.
void upUnit(CpuCompiler &c, const Operation &operation);
void upUnitGrad(CpuCompiler &c, const Operation &operation);

}  // namespace semgen::cpu
