// What is done to cubes on the device, a row of tasks a launch: what tasks say, and who starts them.
//
// Cubes are float32 (x, y, z), z fastest, and every kernel adds and multiplies in the order of engine/host, without
// fused multiply-adds (CMakeLists.txt: -fmad=false): the same draws give the same bits as on the host. Tasks and all
// they point to lie in the device's memory; a launch does all tasks of a row, blockIdx.y counts them.
#pragma once
#include <cstdint>

#include "cuda/runtime.h"

namespace semgen::cuda {

/// The shape of all cubes of a launch, and their voxels: at most 2^30.
struct CubeShape {
  int x, y, z, voxels;
};

/// A Philox stream: see engine/host/philox.h.
struct NoiseStream {
  uint32_t key[2], counter[3];
};

/// How one axis of a box becomes one of a cube (AxisWeights): voxel i takes box voxels first[i] + t with
/// weights[offset[i] + t], t from 0 to offset[i + 1] - offset[i] - 1.
struct AxisTaps {
  const int *first, *offset;
  const float *weights;
};

/// A box of a scan, brought to the cube's shape and mirrored where `flips` says so.
struct CropTask {
  const uint16_t *scan;
  int extents[3], start[3];  // of the scan; of the box in it, which may reach over its border
  AxisTaps taps[3];
  bool flips[3];
  float *target;
  float *cube;  // a second copy, for the perturbation; may be null
};

struct ElasticTask {
  NoiseStream noise;
  const float *weights[3];  // of distances -radius .. radius
  int radius[3];
  float alpha[2];
  const float *from;
  float *to;
  float *fields;  // scratch: 4 cubes
};

struct ShuffleTask {
  NoiseStream draws;
  int blocks, largest[3];
  const float *from;
  float *to;
  int *owners;          // scratch: of each voxel, the last block that covers it, or -1
  uint64_t *positions;  // scratch: of each block, its first word in the stream
  uint32_t *windows;    // scratch where blocks outgrow shared memory: at least the largest block's voxels
  int64_t windowWords;
};

struct CurveTask {
  float x[2], y[4];  // abscissae of the inner points; ordinates of all four
  float *cube;       // in place
};

struct PaintTask {
  NoiseStream noise;
  const int *blocks;  // six numbers each: start, size
  int count;
  bool outside;
  float *cube;  // in place
};

struct RotateTask {
  int quarterTurns;  // 1 to 3
  const float *from;
  float *to;
};

/// A row of `count` tasks on the device, at most 65535.
template <class Task>
struct Tasks {
  const Task *tasks;
  int count;
};

void startCrops(cudaStream_t stream, Tasks<CropTask> row, const CubeShape &shape);
void startElastic(cudaStream_t stream, Tasks<ElasticTask> row, const CubeShape &shape);
/// @param mostBlocks, largestBlock the greatest of the row's
void startShuffles(cudaStream_t stream, Tasks<ShuffleTask> row, const CubeShape &shape, int mostBlocks,
                   int64_t largestBlock);
void startCurves(cudaStream_t stream, Tasks<CurveTask> row, const CubeShape &shape);
void startPainting(cudaStream_t stream, Tasks<PaintTask> row, const CubeShape &shape);
void startRotations(cudaStream_t stream, Tasks<RotateTask> row, const CubeShape &shape);

}  // namespace semgen::cuda
