// Weight gradients of convolutions of every kind.
#pragma once
#include "cuda/conv3d/convolve.h"

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
  bool aligned;  // 16-byte pieces of channels belong to one tap
  int columns;   // rows of the gradient that a block computes
  int64_t flat;  // taps x channels
  int splits;    // parts of the points, summed in order afterwards
  int64_t pointsPerSplit;
  // The fast paths, in bfloat16: 3x3x3 taps on neighbouring voxels, channels in multiples of 16 (gathered) and 8
  // (plain); one gathered channel.
  bool halo = false, firstLayer = false;
  HaloLayout layout;
  Int3 bricks;
  int64_t bricksPerSplit = 0;
  size_t sharedBytes = 0;

  WeightGradientShape(Arithmetic arithmetic, const Lattice &lattice, ChannelPair gathered, int plain, WeightsView view,
                      int multiprocessors, size_t sharedLimit);
  /// Whether the kernel takes a conv unit's z and computes its output: see WeightGradientPointers.
  bool computesUnits() const;
  size_t partialBytes() const { return size_t(splits) * size_t(flat) * size_t(plain) * sizeof(float); }
};

struct WeightGradientPointers {
  const void *gathered[2];
  const float2 *affine[2];  // of a gathered input that is a unit's z, as ConvolvePointers
  const void *plain;
  float *partial;  // partialBytes()
  float *dweight;  // where (row 0, channel 0, tap 0) goes; overwritten
};

void weightGradient(cudaStream_t stream, const WeightGradientShape &shape, const WeightGradientPointers &pointers);
/// The partial sums where shape.halo, or shape.firstLayer, says so.
void weightGradientWithHalo(cudaStream_t stream, const WeightGradientShape &shape,
                            const WeightGradientPointers &pointers);
void weightGradientOfFirstLayer(cudaStream_t stream, const WeightGradientShape &shape,
                                const WeightGradientPointers &pointers);

/// dweight from the partial sums.
void sumSplits(cudaStream_t stream, const WeightGradientShape &shape, const WeightGradientPointers &pointers);

// Of a block of the fast path: 9 warps of 3 taps each.
constexpr int haloGradientChannels = 16, haloGradientColumns = 64, haloGradientPointBits = 7, haloGradientStages = 2;

}  // namespace semgen::cuda
