// One convolution or weight gradient on inputs of its own, to be timed and compared under different choices.
#pragma once
#include <memory>

#include "cuda/conv3d/choices.h"

namespace semgen::cuda {

class Workbench {
 public:
  /// Fills inputs with uniform noise in [-1, 1), and computes the result as `shape` says: what others are compared
  /// with.
  Workbench(Device &device, cudaStream_t stream, const ChosenShape &shape, std::string key);

  const ChosenShape &shape() const { return shape_; }
  const std::string &key() const { return key_; }
  /// Packing of weights, and sums of splits, are part of it: choices differ in them too. Moments are not.
  TileTrial measure(const ChosenShape &shape, int runs);

 private:
  std::shared_ptr<Buffer> noise(int64_t elements, DType type);
  std::vector<double> run(const ChosenShape &shape, int runs, const std::shared_ptr<Buffer> (&results)[2]);
  double error() const;

  Device &device_;
  cudaStream_t stream_;
  ChosenShape shape_;
  std::string key_;
  // A convolution: inputs, weights, outputs. A gradient: gathered inputs, the plain one, dweight.
  std::shared_ptr<Buffer> inputs_[2], factor_, expected_[2], found_[2];
  DType resultType_;
  int64_t firstWeight_;  // the element of the weights that is row 0, depth 0, tap 0
  int64_t resultCounts_[2]{};
  double products_;  // in a sum
};

}  // namespace semgen::cuda
