// Boxes of 16-bit scans (x, y, z; z fastest) brought to the cube's shape: each voxel is the mean of the box's voxels
// under a triangle, by tables of weights made on the host (engine/host/cubes_resample.h). A thread a voxel, neighbours
// along z; it adds along z, then y, then x, as the host does axis after axis. A voxel of the box is read by at most
// two voxels of the cube along each axis: memory-bound, out of the L1 cache. Border voxels of the scan repeat.
#include "cuda/perturb/voxels.cuh"

namespace semgen::cuda {

namespace {

SEMGEN_DEVICE int within(int at, int extent) { return at < 0 ? 0 : at < extent ? at : extent - 1; }

struct Crop {
  SEMGEN_DEVICE void operator()(const CropTask &task, const CubeShape &shape, int i) const {
    int z = i % shape.z, y = i / shape.z % shape.y, x = i / shape.z / shape.y;
    int into[3] = {x, y, z}, first[3], taps[3];
    const float *weights[3];
    for (int axis = 0; axis < 3; ++axis) {
      const AxisTaps &table = task.taps[axis];
      int offset = table.offset[into[axis]];
      first[axis] = task.start[axis] + table.first[into[axis]];
      taps[axis] = table.offset[into[axis] + 1] - offset;
      weights[axis] = table.weights + offset;
    }
    float sum = 0;
    for (int u = 0; u < taps[0]; ++u) {
      const uint16_t *plane =
          task.scan + int64_t(within(first[0] + u, task.extents[0])) * task.extents[1] * task.extents[2];
      float ofPlane = 0;
      for (int v = 0; v < taps[1]; ++v) {
        const uint16_t *line = plane + int64_t(within(first[1] + v, task.extents[1])) * task.extents[2];
        float ofLine = 0;
        for (int w = 0; w < taps[2]; ++w)
          ofLine += weights[2][w] * (float(line[within(first[2] + w, task.extents[2])]) / 65535.0f);
        ofPlane += weights[1][v] * ofLine;
      }
      sum += weights[0][u] * ofPlane;
    }
    if (task.flips[0]) x = shape.x - 1 - x;
    if (task.flips[1]) y = shape.y - 1 - y;
    if (task.flips[2]) z = shape.z - 1 - z;
    int to = (x * shape.y + y) * shape.z + z;
    task.target[to] = sum;
    if (task.cube) task.cube[to] = sum;
  }
};

}  // namespace

void startCrops(cudaStream_t stream, Tasks<CropTask> row, const CubeShape &shape) {
  startOverVoxels(stream, row, shape, shape.voxels, Crop{});
}

}  // namespace semgen::cuda
