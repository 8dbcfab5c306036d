// Convolutions of every kind as implicit matrix products: a lattice says which voxels meet.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "cuda/conv3d/first_layer.h"
#include "cuda/conv3d/halo.h"
#include "cuda/conv3d/lattice.h"
#include "cuda/norm/vectors.h"
#include "cuda/runtime.h"
#include "engine/tiles.h"

namespace semgen::cuda {

/// How products are computed: on tensor cores from bfloat16 or tf32, or exactly as float32 says.
enum class Arithmetic { bf16, tf32, fp32 };

const char *nameOf(Arithmetic arithmetic);
inline size_t elementBytes(Arithmetic arithmetic) { return arithmetic == Arithmetic::bf16 ? 2 : 4; }

/// The weights of a convolution seen as a matrix for each tap: element (row, depth, tap) lies at row * rowStride +
/// depth * depthStride + tap * tapStride. Rows are the channels written, depth the channels read; those of a second
/// input or output follow those of the first.
struct WeightsView {
  int64_t rowStride, depthStride, tapStride = 1;
};

/// Channels of up to two tensors, in place of a concatenation; the second 0 where there is one.
struct ChannelPair {
  int first, second;
  int all() const { return first + second; }
};

/// What a convolution's launch is decided from, when the program is compiled.
struct ConvolveShape {
  Arithmetic arithmetic;
  Lattice lattice;
  WeightsView weights;
  int inChannels[2], outChannels[2];
  int multiprocessors;
  size_t sharedLimit;
  bool flat;             // depth runs over taps x channels: for few or uneven channels
  int chunks[2], steps;  // 64-byte steps of depth: of one tap for each input; in all classes together
  TileChoice choice;     // splits: of the channels read, in bricks
  int columnsPadded;     // channels written, to a multiple of the choice's columns
  HaloPlan halo;         // where bricks, or one channel, are chosen
  FirstLayerPlan firstLayer;

  /// As heuristics choose. `sharedLimit`: the shared memory that a block may use on this card.
  ConvolveShape(Arithmetic arithmetic, const Lattice &lattice, WeightsView weights, ChannelPair in, ChannelPair out,
                int multiprocessors, size_t sharedLimit);
  /// Takes another choice. False, and nothing is changed, where it is impossible for this shape and card.
  bool choose(const TileChoice &wanted);
  std::vector<TileChoice> possible() const;
  /// Arithmetic and shape in words: what tells it from others in a table.
  std::string key() const;
  /// Tiles of points, of which every block computes some channels.
  int64_t tiles() const;
  /// Whether the kernel takes a conv unit's z and computes its output: see ConvolvePointers.
  bool computesUnits() const;
  /// Whether the kernel takes UnitSums: one output of multiples of four channels, one class of points.
  bool takesUnitSums() const;
  /// The weights as the kernel reads them.
  size_t packedBytes() const { return size_t(steps) * size_t(columnsPadded) * 64; }
  /// 64-byte steps of depth that a split takes of each tap.
  int chunksPerSplit() const { return (chunks[0] + chunks[1] + choice.splits - 1) / choice.splits; }
  /// What the splits store before their sums are added; 0 where there is one.
  size_t partialBytes() const;

 private:
  int64_t blocks() const { return tiles() * (columnsPadded / choice.columns); }
  int splitsFor() const;
};

/// Of each tile of points that a block computes, for each channel: the mean and the sum of squares about it, of the
/// values as they are stored; and how many points it has. Null: not wanted. Not with Arithmetic::fp32.
struct TileStatistics {
  float2 *moments;  // [tiles, out channels]
  int *counts;      // [tiles]
};

/// What is stored is the gradient dy of a conv unit's output, of which the unit's gradient wants sums. Null z: not.
struct UnitSums {
  const void *z;  // as dy
  NormChannels norm;
  float2 *sums;  // [tiles, out channels]: of g, and of g times the normalised z, with g = dy where ReLU kept it
};

struct ConvolvePointers {
  const float *weights;  // where (row 0, depth 0, tap 0) lies
  void *packed;          // packedBytes()
  float4 *partial;       // partialBytes(); null where there are none
  const void *in[2];
  const float2 *affine[2];  // of an input that is a unit's z: relu(z * scale + shift) is what is convolved
  void *out[2];
  const float *bias = nullptr;    // [out channels], added
  const float *border = nullptr;  // [27, out channels]: added by kind of voxel, relative to kind 13 (see composed)
  bool accumulate = false;        // out += instead of out =
  TileStatistics statistics{nullptr, nullptr};
  UnitSums unit{};  // only where takesUnitSums
};

/// Packs the weights. Once for each run of an operation, before convolve.
void packWeights(cudaStream_t stream, const ConvolveShape &shape, const ConvolvePointers &pointers);
void convolve(cudaStream_t stream, const ConvolveShape &shape, const ConvolvePointers &pointers);
/// convolve where bricks, or one channel, are chosen.
void convolveWithHalo(cudaStream_t stream, const ConvolveShape &shape, const ConvolvePointers &pointers);
void convolveFirstLayerOf(cudaStream_t stream, const ConvolveShape &shape, const ConvolvePointers &pointers);

}  // namespace semgen::cuda
