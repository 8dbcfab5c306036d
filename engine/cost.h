// What an operation costs on any engine, from its shapes alone: what benchmarks divide a time by.
#pragma once
#include <string>

#include "engine/program.h"

namespace semgen {

struct Cost {
  /// Floating-point operations as the contract writes the operation, a multiply-add counted as two: the products of
  /// convolutions, linear layers and distances. 0 for operations that memory bounds.
  double flops = 0;
  /// Each tensor read or written once, in bytes as the engine stores it.
  double bytes = 0;
  /// The shapes that tell it from others of its name: "4 x 64 x 64 x 32 x 32, weight 64 x 32 x 3 x 3 x 3".
  std::string shapes;
};

Cost costOf(const Operation &operation, const Program &program);

}  // namespace semgen
