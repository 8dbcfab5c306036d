// Elastic deformation: two fields of noise, smoothed by a Gaussian along z, y and x, displace the cube in x and y.
//
// Smoothing is one kernel a direction, for all cubes and both fields at once. A block computes `rows` outputs, 8 a
// warp, of 32 lines that lie side by side, one a lane. It goes through its lines `rows` voxels at a time, staged in
// shared memory with the weights that meet them; a thread keeps 8 sums and 16 weights in registers: 8 voxels are read
// and 64 products added with two vector loads of weights, which all lanes share. Of 65 taps (sigma 8) along lines of
// 64 voxels nearly all meet, so the cost is about 6 taps * voxels multiply-adds a cube; memory moves 4 cubes a
// direction. Along z lines are turned on their way through shared memory, so that global memory is read and written
// in order. The displacement is a thread a voxel, four reads each.
#include "cuda/perturb/philox.cuh"
#include "cuda/perturb/voxels.cuh"

namespace semgen::cuda {

namespace {

constexpr int eachWarp = 8, mostWarps = 8, mostRows = eachWarp * mostWarps, columnsABlock = 32;

/// Both fields in [-1, 1), the second from the next whole block of the stream. A thread a block of four words.
struct Noise {
  SEMGEN_DEVICE void operator()(const ElasticTask &task, const CubeShape &shape, int i) const {
    int quads = (shape.voxels + 3) / 4, quad = i % quads;
    uint4 words = philoxWords(task.noise, uint32_t(i));
    float *field = task.fields + int64_t(i / quads) * shape.voxels + 4 * int64_t(quad);
    float4 numbers = make_float4(-1.0f + 2.0f * uniformOf(words.x), -1.0f + 2.0f * uniformOf(words.y),
                                 -1.0f + 2.0f * uniformOf(words.z), -1.0f + 2.0f * uniformOf(words.w));
    if (shape.voxels % 4 == 0) {
      *reinterpret_cast<float4 *>(field) = numbers;
      return;
    }
    int left = shape.voxels - 4 * quad;
    field[0] = numbers.x;
    if (left > 1) field[1] = numbers.y;
    if (left > 2) field[2] = numbers.z;
    if (left > 3) field[3] = numbers.w;
  }
};

/// The lines of one direction: `count` of them, `length` voxels each, `stride` apart; line c begins at
/// c / inner * outer + c % inner.
struct Lines {
  int axis, length, stride, count, inner, outer;
  SEMGEN_DEVICE int64_t begin(int line) const { return int64_t(line / inner) * outer + line % inner; }
};

SEMGEN_DEVICE void loadEight(float *into, const float *from) {
  float4 low = *reinterpret_cast<const float4 *>(from), high = *reinterpret_cast<const float4 *>(from + 4);
  into[0] = low.x, into[1] = low.y, into[2] = low.z, into[3] = low.w;
  into[4] = high.x, into[5] = high.y, into[6] = high.z, into[7] = high.w;
}

/// Fields from half `source` of the scratch to the other half. `along`: lines run along z, where neighbours are.
template <bool along>
__global__ void __launch_bounds__(32 * mostWarps)
    smooth(const ElasticTask *tasks, Lines lines, int voxels, int source) {
  __shared__ float tile[mostRows][columnsABlock + 1];
  __shared__ __align__(16) float window[2 * mostRows];
  const ElasticTask &task = tasks[blockIdx.y / 2];
  const float *in = task.fields + (int64_t(source) * 2 + blockIdx.y % 2) * voxels;
  float *out = task.fields + (int64_t(1 - source) * 2 + blockIdx.y % 2) * voxels;
  const int threads = int(blockDim.x), thread = int(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int rows = threads / 32 * eachWarp, tiles = (lines.count + columnsABlock - 1) / columnsABlock;
  const int firstLine = int(blockIdx.x) % tiles * columnsABlock, firstRow = int(blockIdx.x) / tiles * rows;
  const int radius = task.radius[lines.axis];
  const float *weights = task.weights[lines.axis];
  const int lowest = firstRow > radius ? firstRow - radius : 0;
  const int highest = firstRow + rows + radius < lines.length ? firstRow + rows + radius : lines.length;
  float sums[eachWarp] = {};
  for (int chunk = lowest / eachWarp * eachWarp; chunk < highest; chunk += rows) {
    __syncthreads();  // nobody reads the former chunk any more
    for (int i = thread; i < rows * columnsABlock; i += threads) {
      int row = along ? i % rows : i / columnsABlock, column = along ? i / rows : i % columnsABlock;
      bool there = chunk + row < lines.length && firstLine + column < lines.count;
      tile[row][column] = there ? in[lines.begin(firstLine + column) + int64_t(chunk + row) * lines.stride] : 0.0f;
    }
    for (int i = thread; i < 2 * rows; i += threads) {
      int distance = firstRow - chunk + i - rows;
      window[i] = distance >= -radius && distance <= radius ? weights[distance + radius] : 0.0f;
    }
    __syncthreads();
    // Output 8 warp + k of the block takes voxel 8 group + m of the chunk by window[8 warp - 8 group + rows + k - m].
    float met[2 * eachWarp];
    const float *mine = window + eachWarp * warp + rows;
    loadEight(met + eachWarp, mine);
    for (int group = 0; group < rows / eachWarp; ++group) {
      loadEight(met, mine - eachWarp * (group + 1));
#pragma unroll
      for (int m = 0; m < eachWarp; ++m) {
        float value = tile[eachWarp * group + m][lane];
#pragma unroll
        for (int k = 0; k < eachWarp; ++k) sums[k] += met[eachWarp + k - m] * value;
      }
#pragma unroll
      for (int k = 0; k < eachWarp; ++k) met[eachWarp + k] = met[k];
    }
  }
  if (!along) {
    if (firstLine + lane >= lines.count) return;
#pragma unroll
    for (int k = 0; k < eachWarp; ++k) {
      int row = firstRow + eachWarp * warp + k;
      if (row < lines.length) out[lines.begin(firstLine + lane) + int64_t(row) * lines.stride] = sums[k];
    }
    return;
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < eachWarp; ++k) tile[eachWarp * warp + k][lane] = sums[k];
  __syncthreads();
  for (int i = thread; i < rows * columnsABlock; i += threads) {
    int row = i % rows, column = i / rows;
    if (firstRow + row < lines.length && firstLine + column < lines.count)
      out[lines.begin(firstLine + column) + firstRow + row] = tile[row][column];
  }
}

template <bool along>
void startSmoothing(cudaStream_t stream, Tasks<ElasticTask> row, const CubeShape &shape, const Lines &lines,
                    int source) {
  int warps = (lines.length + eachWarp - 1) / eachWarp;
  if (warps > mostWarps) warps = mostWarps;
  int64_t segments = (lines.length + warps * eachWarp - 1) / (warps * eachWarp);
  int64_t tiles = (lines.count + columnsABlock - 1) / columnsABlock;
  launch(stream, smooth<along>, Grid{unsigned(segments * tiles), unsigned(2 * row.count)}, Block{unsigned(32 * warps)},
         0, row.tasks, lines, shape.voxels, source);
}

/// A coordinate on a line of voxels as the neighbours below and above, and the way between them.
struct Place {
  int below, above;
  float fraction;
};

/// Mirrored at the ends, half-sample symmetric: see locate in engine/host/perturb_elastic.cpp.
SEMGEN_DEVICE Place locate(float coordinate, int extent) {
  float length = float(extent);
  float periods = (coordinate + 0.5f) * (0.5f / length);
  float whole = float(int(periods));
  whole = whole > periods ? whole - 1.0f : whole;
  float edge = (coordinate + 0.5f) - 2.0f * length * whole;
  edge = edge > length ? 2.0f * length - edge : edge;
  // What rounding may have left outside.
  edge = edge < 0.0f ? 0.0f : edge;
  edge = edge > length ? length : edge;
  int index = int(edge + 0.5f) - 1;
  float fraction = (edge - 0.5f) - float(index);
  fraction = fraction < 0.0f ? 0.0f : fraction;
  fraction = fraction > 1.0f ? 1.0f : fraction;
  return {index < 0 ? 0 : index, index >= extent - 1 ? extent - 1 : index + 1, fraction};
}

/// to(x, y, z) = from(x + alpha[0] dx, y + alpha[1] dy, z), linear in x and y. The fields lie in the upper half.
struct Displace {
  SEMGEN_DEVICE void operator()(const ElasticTask &task, const CubeShape &shape, int i) const {
    const float *fields = task.fields + 2 * int64_t(shape.voxels);
    int z = i % shape.z, y = i / shape.z % shape.y, x = i / shape.z / shape.y;
    Place u = locate(task.alpha[0] * fields[i] + float(x), shape.x);
    Place v = locate(task.alpha[1] * fields[int64_t(shape.voxels) + i] + float(y), shape.y);
    auto at = [&](int px, int py) { return task.from[(px * shape.y + py) * shape.z + z]; };
    float v00 = at(u.below, v.below), v01 = at(u.below, v.above);
    float v10 = at(u.above, v.below), v11 = at(u.above, v.above);
    float atBelow = v00 + v.fraction * (v01 - v00), atAbove = v10 + v.fraction * (v11 - v10);
    task.to[i] = atBelow + u.fraction * (atAbove - atBelow);
  }
};

}  // namespace

void startElastic(cudaStream_t stream, Tasks<ElasticTask> row, const CubeShape &shape) {
  const auto [X, Y, Z, voxels] = shape;
  startOverVoxels(stream, row, shape, 2 * ((voxels + 3) / 4), Noise{});
  startSmoothing<true>(stream, row, shape, {2, Z, 1, X * Y, 1, Z}, 0);
  startSmoothing<false>(stream, row, shape, {1, Y, Z, X * Z, Z, Y * Z}, 1);
  startSmoothing<false>(stream, row, shape, {0, X, Y * Z, Y * Z, Y * Z, 0}, 0);
  startOverVoxels(stream, row, shape, voxels, Displace{});
}

}  // namespace semgen::cuda
