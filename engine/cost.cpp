#include "engine/cost.h"

namespace semgen {

namespace {

class Counter {
 public:
  Counter(const Operation &operation, const Program &program) : operation(operation), program(program) {}

  double flops() const {
    const std::string &name = operation.name;
    if (name == "conv3d" || name == "conv_unit") return convolution("y");
    if (name == "conv3d_grad" || name == "conv_unit_grad") return convolutionGradient();
    if (name == "conv_transpose3d") return transposed("weight");
    if (name == "conv_transpose3d_grad") return transposed("weight") * directions();
    if (name == "up_unit") return transposed("up_weight") + convolution("y");
    if (name == "up_unit_grad") return 2 * transposed("up_weight") + 2 * convolution("dy");
    if (name == "linear") return products(count("x"), shape("weight")[0]);
    if (name == "linear_grad") return products(count("x"), shape("weight")[0]) * directions();
    if (name == "nearest") return products(count("queries"), shape("points")[0]);
    return 0;
  }

  double bytes() const {
    double sum = 0;
    for (const auto *roles : {&operation.inputs, &operation.outputs})
      for (const auto &[role, ids] : *roles)
        if (role != "up")  // which only the two-step form of a decoder's unit writes
          for (TensorId id : ids) sum += bytesOf(id) * (changedInPlace(role) ? 2 : 1);
    return sum;
  }

  std::string shapes() const {
    std::string text;
    for (const char *role : {"x", "a", "logits", "dy", "queries"})
      if (text.empty() && operation.inputs.count(role)) text = describe(shape(role));
    for (const char *role : {"skip", "up_weight", "weight", "points"})
      if (operation.inputs.count(role)) text += std::string(", ") + role + " " + describe(shape(role));
    return text;
  }

 private:
  const Shape &shape(const char *role) const { return program.shape(operation.at(role)); }
  /// As the contract writes it, wherever an engine keeps it, or whether at all.
  double bytesOf(TensorId id) const {
    const Shape &shape = program.shape(id);
    return double(shape.empty() ? program.bytes(id) : size_t(elements(shape)) * sizeOf(program.dtype(id)));
  }
  /// What an optimizer reads and writes, and the contract names once.
  static bool changedInPlace(const std::string &role) {
    return role == "parameters" || role == "moments1" || role == "moments2" || role == "velocities";
  }
  double count(const char *role) const { return double(elements(shape(role))); }
  static double products(double values, int64_t each) { return 2 * values * double(each); }

  /// Every output voxel and channel meets one filter.
  double convolution(const char *output) const {
    return products(count(output), elements(shape("weight")) / shape("weight")[0]);
  }
  /// Every input voxel meets each of its channel's filters.
  double transposed(const char *weight) const {
    return products(count("x"), elements(shape(weight)) / shape(weight)[0]);
  }
  /// The weights' gradient, and the data's where it is asked for.
  double directions() const { return operation.has("dx") ? 2 : 1; }
  double convolutionGradient() const {
    double channels = double(shape("weight")[1]), wanted = 0;
    if (operation.has("dx")) wanted += double(shape("x").back());
    if (operation.has("dskip")) wanted += double(shape("skip").back());
    return convolution("dy") * (1 + wanted / channels);
  }

  const Operation &operation;
  const Program &program;
};

}  // namespace

Cost costOf(const Operation &operation, const Program &program) {
  Counter counter(operation, program);
  return {counter.flops(), counter.bytes(), counter.shapes()};
}

}  // namespace semgen
