// What changes intensities where they are (Bezier curves, in- and out-painting), and quarter turns. A thread a voxel,
// or four for painting: one block of the noise stream. Memory-bound, but for the curves' 24 halvings a voxel.
#include "cuda/perturb/philox.cuh"
#include "cuda/perturb/voxels.cuh"

namespace semgen::cuda {

namespace {

/// y of the curve where its x equals the voxel's value, by bisection: see throughCurve in engine/host/perturb.cpp.
struct Curve {
  SEMGEN_DEVICE void operator()(const CurveTask &task, const CubeShape &, int i) const {
    float x1 = 3 * task.x[0], x2 = 3 * task.x[1], y1 = 3 * task.y[1], y2 = 3 * task.y[2];
    float value = task.cube[i], t = 0, step = 0.5f;
    for (int halving = 0; halving < 24; ++halving, step *= 0.5f) {
      float further = t + step, s = 1.0f - further;
      float reached = further * (s * (s * x1 + further * x2) + further * further);
      t = reached <= value ? further : t;
    }
    float s = 1.0f - t;
    float reached = s * s * (s * task.y[0] + t * y1) + t * t * (s * y2 + t * task.y[3]);
    task.cube[i] = reached < 0.0f ? 0.0f : reached > 1.0f ? 1.0f : reached;
  }
};

/// The numbers of one block of the stream, for the four voxels they belong to.
struct Paint {
  SEMGEN_DEVICE void operator()(const PaintTask &task, const CubeShape &shape, int quad) const {
    uint4 words = philoxWords(task.noise, uint32_t(quad));
    float noise[4] = {uniformOf(words.x), uniformOf(words.y), uniformOf(words.z), uniformOf(words.w)};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      int64_t i = 4 * int64_t(quad) + k;
      if (i >= shape.voxels) break;
      int z = int(i) % shape.z, y = int(i) / shape.z % shape.y, x = int(i) / shape.z / shape.y;
      bool inside = false;
      for (int b = 0; b < task.count && !inside; ++b) {
        const int *block = task.blocks + 6 * int64_t(b);
        inside = unsigned(x - block[0]) < unsigned(block[3]) && unsigned(y - block[1]) < unsigned(block[4]) &&
                 unsigned(z - block[2]) < unsigned(block[5]);
      }
      if (inside != task.outside) task.cube[i] = noise[k];
    }
  }
};

/// As numpy.rot90(cube, quarterTurns, (0, 1)); by one or three quarters, x is as wide as y.
struct Rotate {
  SEMGEN_DEVICE void operator()(const RotateTask &task, const CubeShape &shape, int i) const {
    int line = i / shape.z, x = line / shape.y, y = line % shape.y;
    int source = task.quarterTurns == 1   ? y * shape.y + (shape.x - 1 - x)
                 : task.quarterTurns == 2 ? (shape.x - 1 - x) * shape.y + (shape.y - 1 - y)
                                          : (shape.y - 1 - y) * shape.y + x;
    task.to[i] = task.from[source * shape.z + i % shape.z];
  }
};

}  // namespace

void startCurves(cudaStream_t stream, Tasks<CurveTask> row, const CubeShape &shape) {
  startOverVoxels(stream, row, shape, shape.voxels, Curve{});
}

void startPainting(cudaStream_t stream, Tasks<PaintTask> row, const CubeShape &shape) {
  startOverVoxels(stream, row, shape, (shape.voxels + 3) / 4, Paint{});
}

void startRotations(cudaStream_t stream, Tasks<RotateTask> row, const CubeShape &shape) {
  startOverVoxels(stream, row, shape, shape.voxels, Rotate{});
}

}  // namespace semgen::cuda
