// What every loss has: logits beside a gradient in their layout, and values that are kept as one number.
#pragma once
#include <optional>

#include "engine/cpu/rows.h"

namespace semgen::cpu {

struct LossInput {
  Rows values;
  std::optional<Rows> gradient;  // where it is wanted
};

/// The activation that a loss is taken of, and where its gradient goes: in the same layout.
LossInput lossInput(CpuCompiler &c, const Operation &op, const char *input, const char *gradient);

/// A result of one element. Throws Error NATIVE unless it is one, of this type.
TensorId scalar(CpuCompiler &c, const Operation &op, const char *role, DType type);

}  // namespace semgen::cpu
