// Work that goes voxel by voxel over a row of cubes: body(task, i) by one thread for each voxel i of each task's cube.
#pragma once
#include "cuda/device.cuh"
#include "cuda/launch.h"
#include "cuda/perturb/kernels.h"

namespace semgen::cuda {

inline constexpr int voxelThreads = 256;

template <class Task, class Body>
__global__ void __launch_bounds__(voxelThreads) overVoxels(const Task *tasks, CubeShape shape, int count, Body body) {
  int64_t i = int64_t(blockIdx.x) * voxelThreads + threadIdx.x;
  if (i < count) body(tasks[blockIdx.y], shape, int(i));
}

/// `count`: voxels, or fewer where a thread takes several.
template <class Task, class Body>
void startOverVoxels(cudaStream_t stream, Tasks<Task> row, const CubeShape &shape, int count, const Body &body) {
  launch(stream, overVoxels<Task, Body>,
         Grid{unsigned((int64_t(count) + voxelThreads - 1) / voxelThreads), unsigned(row.count)}, Block{voxelThreads},
         0, row.tasks, shape, count, body);
}

}  // namespace semgen::cuda
