// What convolutions are computed with: the table's choice where it has one, and a record of what was chosen, which the
// tuner tries the possible choices of.
#pragma once
#include <memory>
#include <variant>
#include <vector>

#include "cuda/conv3d/weight_gradient.h"
#include "engine/tensor.h"

namespace semgen::cuda {

/// A card as far as choices depend on it.
struct Card {
  std::string architecture;  // "sm_90"; "sim"
  size_t sharedBytes;        // that a block may use
  int multiprocessors;
};

class Workbench;
using ChosenShape = std::variant<ConvolveShape, WeightGradientShape>;

class Choices final : public TileTuner {
 public:
  /// `device` must outlive it.
  Choices(Device &device, int gpu, cudaStream_t stream, TileTable table);
  ~Choices() override;

  /// A convolution and a weight gradient as they are to be computed. Throws Error BAD_FILE where the table says what is
  /// impossible for the shape or the card.
  ConvolveShape convolution(Arithmetic arithmetic, const Lattice &lattice, WeightsView weights, ChannelPair in,
                            ChannelPair out);
  WeightGradientShape gradient(Arithmetic arithmetic, const Lattice &lattice, ChannelPair gathered, int plain,
                               WeightsView view);
  const Card &card() const { return card_; }

  std::vector<TileRequest> requests() const override;
  void begin(const std::string &key) override;
  TileTrial trial(const TileChoice &choice, int runs) override;
  void end() override;

 private:
  struct Known {
    std::string key;
    int uses;
    ChosenShape shape;
  };
  template <class Shape>
  Shape settled(Shape shape);

  Device &device_;
  int gpu_;
  cudaStream_t stream_;
  TileTable table_;
  Card card_;
  std::vector<Known> known_;  // in the order they were first met
  std::unique_ptr<Workbench> bench_;
};

}  // namespace semgen::cuda
