// Refusals of tensors that do not fit an operation, before anything is computed: loops of our own trust their shapes.
#pragma once
#include "engine/program.h"

namespace semgen {

/// Throws Error NATIVE, naming operation, role and both shapes, unless the tensor has this shape.
inline void requireShape(const Program &program, const Operation &op, const char *role, const Shape &expected) {
  const Shape &shape = program.shape(op.at(role));
  if (shape != expected)
    throw Error("NATIVE", op.name + " takes \"" + role + "\" of " + describe(expected) + " here, not of " +
                              describe(shape) + ".");
}

inline void requireSameShape(const Program &program, const Operation &op, const char *role, const char *other) {
  requireShape(program, op, other, program.shape(op.at(role)));
}

/// Throws Error NATIVE unless the tensor has this many extents.
inline const Shape &requireRank(const Program &program, const Operation &op, const char *role, size_t rank) {
  const Shape &shape = program.shape(op.at(role));
  if (shape.size() != rank)
    throw Error("NATIVE", op.name + " takes a tensor of " + std::to_string(rank) + " extents as \"" + role +
                              "\", not of " + describe(shape) + ".");
  return shape;
}

inline void requireType(const Program &program, const Operation &op, const char *role, DType expected) {
  static const char *const names[] = {"float32", "bfloat16", "int32"};
  for (TensorId id : op.list(role))
    if (program.dtype(id) != expected)
      throw Error("NATIVE", op.name + " takes \"" + role + "\" as " + names[int(expected)] + ", not as " +
                                names[int(program.dtype(id))] + ".");
}

}  // namespace semgen
