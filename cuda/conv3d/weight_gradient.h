// Weight gradients of convolutions of every kind.
#pragma once
#include "cuda/conv3d/convolve.h"
#include "cuda/norm/vectors.h"

namespace semgen::cuda {

/// dweight[row, channel, tap] = sum over points of plain[output voxel, row] * gathered[input voxel under tap, channel].
/// A convolution gathers its input, and dy is plain; a transposed one gathers dy, and its input is plain.
/// The lattice has one class (forwardLattice), and its outputs are the voxels of `plain`. Element (row, channel, tap)
/// is written to row * rowStride + channel * depthStride + tap * tapStride; channels of a second gathered input follow
/// those of the first.
struct WeightGradientShape {
  Arithmetic arithmetic;
  Lattice lattice;
  int gathered[2], plain;  // channels; the second gathered 0 where there is one
  WeightsView view;
  int multiprocessors;
  size_t sharedLimit;
  bool aligned;  // 16-byte pieces of channels belong to one tap
  int64_t flat;  // taps x channels
  // Bricks and one channel are fast paths in bfloat16: 3x3x3 taps on neighbouring voxels, channels in multiples of 16
  // (gathered) and 8 (plain); one gathered channel. Columns are rows of the gradient.
  TileChoice choice;
  int splits;  // the choice's
  int64_t pointsPerSplit = 0;
  HaloLayout layout{};
  Int3 bricks{};
  int64_t bricksPerSplit = 0;
  size_t sharedBytes = 0;

  /// As heuristics choose.
  WeightGradientShape(Arithmetic arithmetic, const Lattice &lattice, ChannelPair gathered, int plain, WeightsView view,
                      int multiprocessors, size_t sharedLimit);
  /// Takes another choice. False, and nothing is changed, where it is impossible for this shape and card, or where its
  /// splits would leave the last ones empty.
  bool choose(const TileChoice &wanted);
  /// Every way with columns, and with splits about those that heuristics give it.
  std::vector<TileChoice> possible() const;
  /// Arithmetic and shape in words: what tells it from others in a table.
  std::string key() const;
  /// Whether the kernel takes a conv unit's z and computes its output: see WeightGradientPointers.
  bool computesUnits() const;
  /// Whether it takes what a unit's dz is computed from in place of the plain input.
  bool computesUnitGradients() const { return choice.way == Way::oneChannel; }
  /// Whether the kernel writes the gradient itself, since no other split adds to it.
  bool writesGradient() const { return choice.way == Way::bricks && splits == 1; }
  size_t partialBytes() const {
    return writesGradient() ? 0 : size_t(splits) * size_t(flat) * size_t(plain) * sizeof(float);
  }

 private:
  bool fits(Way way, int columns);
  int64_t parts() const;
  int64_t splitsFor() const;
  int64_t soonest(int64_t tiles, int64_t slots, double operationsPerPart, int64_t partsToBegin, int64_t most) const;
  bool split(int64_t wanted);
};

struct WeightGradientPointers {
  const void *gathered[2];
  const float2 *affine[2];  // of a gathered input that is a unit's z, as ConvolvePointers
  const void *plain;
  float *partial;  // partialBytes(); null where there are none
  float *dweight;  // where (row 0, channel 0, tap 0) goes; overwritten
  /// With `z`, plain is the gradient of a unit's output, and that of its z is what counts: see computesUnitGradients.
  const void *z = nullptr;
  NormGradient gradient{};
};

void weightGradient(cudaStream_t stream, const WeightGradientShape &shape, const WeightGradientPointers &pointers);
/// The partial sums, or the gradient where it writes that, where bricks, or one channel, are chosen.
void weightGradientWithHalo(cudaStream_t stream, const WeightGradientShape &shape,
                            const WeightGradientPointers &pointers);
void weightGradientOfFirstLayer(cudaStream_t stream, const WeightGradientShape &shape,
                                const WeightGradientPointers &pointers);

/// dweight from the partial sums.
void sumSplits(cudaStream_t stream, const WeightGradientShape &shape, const WeightGradientPointers &pointers);

// Of a block of the fast path: 9 warps of 3 taps each.
constexpr int haloGradientChannels = 16, haloGradientColumns = 64, haloGradientPointBits = 7, haloGradientStages = 2;
// A gradient is brought into its own order half of the columns at a time; the pitch, in floats, of a column's 27 taps x
// 16 channels keeps a warp's stores in different banks.
constexpr int haloGradientPitch = 27 * haloGradientChannels + 4;
constexpr size_t haloGradientStoreBytes = size_t{haloGradientColumns / 2} * haloGradientPitch * sizeof(float);

}  // namespace semgen::cuda
