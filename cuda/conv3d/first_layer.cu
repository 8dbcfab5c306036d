// Convolutions of one channel in bfloat16, any kernel and stride, and their weight gradients. With one channel there is
// nothing to copy in pieces of 16 bytes: a brick with its halo goes to shared memory once, and fragments over taps are
// gathered from there, two elements a register.
//
// Tiling   forward: 256 points x 32 channels by eight warps of 32 points; weights of all taps stay in
//          shared memory. Gradient: 32 taps x 32 channels, bricks of 256 points, 32 points a warp; the warps'
//          sums are added in order. A dy of a unit that is given with its z becomes dz on its way there.
// Cost     memory-bound: the output, or dy, once; the brick's elements about twice. 2 * 32 * points * channels
// operations
//          (27 taps are padded to 32), far below that.
#include "cuda/conv3d/convolve.h"
#include "cuda/conv3d/epilogue.cuh"
#include "cuda/conv3d/first_layer.h"
#include "cuda/conv3d/tile.cuh"
#include "cuda/conv3d/weight_gradient.h"
#include "cuda/launch.h"
#include "cuda/norm/unit_channels.cuh"

namespace semgen::cuda {

namespace {

constexpr int threads = 256;

/// A block's brick: where it starts.
struct Brick {
  int64_t image;
  Int3 first;  // point

  SEMGEN_DEVICE Brick(int64_t index, const Int3 &bricks, const Int3 &extents) {
    first.z = int(index % bricks.z) * extents.z;
    index /= bricks.z;
    first.y = int(index % bricks.y) * extents.y;
    index /= bricks.y;
    first.x = int(index % bricks.x) * extents.x;
    image = index / bricks.x;
  }
};

/// Where a point of a brick has its lowest tap, in elements.
SEMGEN_DEVICE int elementOf(const HaloLayout &h, const Int3 &step, int point) {
  int z = point & (h.brick.z - 1), y = point >> h.bits.z & (h.brick.y - 1), x = point >> (h.bits.z + h.bits.y);
  return x * step.x * h.plane + y * step.y * h.line + z * step.z;
}

SEMGEN_DEVICE void loadHalo(uint16_t *halo, const bf16 *in, const Lattice &l, const HaloLayout &h, const Brick &brick) {
  int all = h.halo.x * h.halo.y * h.halo.z;
  for (int v = threadIdx.x; v < all; v += threads) {
    int xy = v / h.halo.z, z = v - xy * h.halo.z, x = xy / h.halo.y, y = xy - x * h.halo.y;
    int atX = brick.first.x * l.inStep.x + x + h.low.x, atY = brick.first.y * l.inStep.y + y + h.low.y,
        atZ = brick.first.z * l.inStep.z + z + h.low.z;
    bool inside =
        unsigned(atX) < unsigned(l.in.x) && unsigned(atY) < unsigned(l.in.y) && unsigned(atZ) < unsigned(l.in.z);
    int64_t voxel = ((brick.image * l.in.x + atX) * l.in.y + atY) * l.in.z + atZ;
    halo[x * h.plane + y * h.line + z] = inside ? bits_of(in[voxel]) : uint16_t(0);
  }
}

/// How far tap `tap` lies from the lowest one, in elements; 0 for those that only fill a step.
SEMGEN_DEVICE int tapElement(const Lattice &l, const HaloLayout &h, int tap) {
  if (tap >= l.taps) return 0;
  return (l.x[tap] - h.low.x) * h.plane + (l.y[tap] - h.low.y) * h.line + l.z[tap] - h.low.z;
}

SEMGEN_DEVICE uint32_t pairOf(const uint16_t *halo, int low, int high) {
  return uint32_t(halo[low]) | uint32_t(halo[high]) << 16;
}

// --- forward ---------------------------------------------------------------------------------------------------------

struct Tile {
  static constexpr int columns = firstLayerColumns, points = firstLayerPoints, MT = points / 128, NT = columns / 16;
};

struct Params {
  Lattice lattice;
  HaloLayout layout;
  Int3 bricks;
  const bf16 *in;
  const void *packed;
  int steps, columnsPadded, columnTiles;
  Epilogue epilogue;
};

__global__ void __launch_bounds__(threads, 2) convolveFirstLayer(const __grid_constant__ Params p) {
  using T = Tile;
  SHARED_MEMORY(char, shared);
  const Lattice &l = p.lattice;
  const HaloLayout &h = p.layout;
  int columnTile = int(blockIdx.x) % p.columnTiles;
  int64_t tile = blockIdx.x / p.columnTiles;
  Brick brick(tile, p.bricks, h.brick);

  char *weights = shared;
  int *offsets = reinterpret_cast<int *>(weights + p.steps * T::columns * 64);
  char *rowsAt = reinterpret_cast<char *>(offsets + p.steps * 32);
  EpilogueRows<T::points> rows(rowsAt);
  float *scratch = reinterpret_cast<float *>(rowsAt + EpilogueRows<T::points>::bytes);
  uint16_t *halo = reinterpret_cast<uint16_t *>(scratch + 9 * T::columns);

  int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  const char *packed = static_cast<const char *>(p.packed) + int64_t(columnTile) * T::columns * 64;
  for (int i = thread; i < p.steps * T::columns * 4; i += threads) {
    int row = i >> 2, step = row / T::columns;
    cp_async_16(weights + step * T::columns * 64 + pieceAt(row - step * T::columns, i & 3),
                packed + int64_t(step) * p.columnsPadded * 64 + (i - step * T::columns * 4) * 16);
  }
  cp_async_commit();
  for (int k = thread; k < p.steps * 32; k += threads) offsets[k] = tapElement(l, h, k);
  loadHalo(halo, p.in, l, h, brick);
  for (int point = thread; point < T::points; point += threads) {
    int z = brick.first.z + (point & (h.brick.z - 1)), y = brick.first.y + (point >> h.bits.z & (h.brick.y - 1)),
        x = brick.first.x + (point >> (h.bits.z + h.bits.y));
    if (x < l.out.x && y < l.out.y && z < l.out.z) {
      rows.set(point, l, brick.image, x, y, z);
    } else {
      rows.voxel[point] = -1;
      rows.kind[point] = 0;
    }
  }
  cp_async_wait<0>();
  __syncthreads();

  int aRow = warp * T::MT * 16;
  int element[T::MT][2];
#pragma unroll
  for (int i = 0; i < T::MT; ++i)
#pragma unroll
    for (int e = 0; e < 2; ++e) element[i][e] = elementOf(h, l.inStep, aRow + i * 16 + e * 8 + lane / 4);
  float d[T::MT][2 * T::NT][4] = {};
  for (int half = 0; half < p.steps * 2; ++half) {
    const int *offset = offsets + half * 16 + lane % 4 * 2;
    int o0 = offset[0], o1 = offset[1], o8 = offset[8], o9 = offset[9];
    uint32_t left[T::MT][4];
#pragma unroll
    for (int i = 0; i < T::MT; ++i) {
      left[i][0] = pairOf(halo, element[i][0] + o0, element[i][0] + o1);
      left[i][1] = pairOf(halo, element[i][1] + o0, element[i][1] + o1);
      left[i][2] = pairOf(halo, element[i][0] + o8, element[i][0] + o9);
      left[i][3] = pairOf(halo, element[i][1] + o8, element[i][1] + o9);
    }
    const char *b = weights + (half >> 1) * T::columns * 64;
#pragma unroll
    for (int q = 0; q < T::NT; ++q) {
      uint32_t both[4];
      ldmatrix_x4(both, b + pieceAt(q * 16 + (lane >> 4) * 8 + (lane & 7), (half & 1) * 2 + (lane >> 3 & 1)));
      const uint32_t even[2] = {both[0], both[1]}, odd[2] = {both[2], both[3]};
#pragma unroll
      for (int i = 0; i < T::MT; ++i) {
        mma_bf16(d[i][2 * q], left[i], even);
        mma_bf16(d[i][2 * q + 1], left[i], odd);
      }
    }
  }
  storeTiles<bf16, T::MT, T::NT>(p.epilogue, rows, d, aRow, columnTile * T::columns, lane);
  if (p.epilogue.statistics.moments)
    tileStatistics<T::MT, T::NT, 8, 1>(p.epilogue, rows, d, scratch, tile, columnTile * T::columns);
}

// --- weight gradient -------------------------------------------------------------------------------------------------

struct GradientTile {
  static constexpr int columns = firstLayerColumns, NT = columns / 16, points = firstLayerPoints;
};

struct GradientParams {
  Lattice lattice;
  HaloLayout layout;
  Int3 bricks;
  const bf16 *in, *plain, *z;  // z: plain is a unit's dy, and is turned into its dz
  NormGradient gradient;
  int plainChannels, columnTiles;
  int64_t allBricks, bricksPerSplit;
  float *partial;
};

/// body(where in shared memory, which element of plain, whether it exists) for the pieces of a brick that this thread
/// copies, all of the same eight channels.
template <class Body>
SEMGEN_DEVICE void overPieces(const GradientParams &p, const Brick &brick, int columnTile, Body &&body) {
  constexpr int pieces = GradientTile::columns / 8;
  const HaloLayout &h = p.layout;
  const Int3 &out = p.lattice.out;
  int piece = int(threadIdx.x) % pieces, channel = columnTile * GradientTile::columns + piece * 8;
#pragma unroll 2
  for (int point = int(threadIdx.x) / pieces; point < GradientTile::points; point += threads / pieces) {
    int z = brick.first.z + (point & (h.brick.z - 1)), y = brick.first.y + (point >> h.bits.z & (h.brick.y - 1)),
        x = brick.first.x + (point >> (h.bits.z + h.bits.y));
    bool in = x < out.x && y < out.y && z < out.z && channel < p.plainChannels;
    int64_t voxel = ((brick.image * out.x + x) * out.y + y) * out.z + z;
    body(pieceAt(point, piece), in ? voxel * p.plainChannels + channel : 0, in);
  }
}

/// dz in place of the dy that this thread copied, from the z beside it. Zeros beyond the last point stay.
SEMGEN_DEVICE void takeUnitGradient(const GradientParams &p, const Brick &brick, int columnTile, char *plain,
                                    const char *unit) {
  int channel = columnTile * GradientTile::columns + int(threadIdx.x) % (GradientTile::columns / 8) * 8;
  if (channel >= p.plainChannels) return;
#pragma unroll 1
  for (int half = 0; half < 2; ++half) {  // four channels at a time, whose parameters fit into registers
    UnitGradient<4> gradient(p.gradient, channel + half * 4);
    overPieces(p, brick, columnTile, [&](int place, int64_t, bool in) {
      if (!in) return;
      uint2 *at = reinterpret_cast<uint2 *>(plain + place) + half,
            z = reinterpret_cast<const uint2 *>(unit + place)[half];
      float2 dy[2] = {unpack_bf16(at->x), unpack_bf16(at->y)}, of[2] = {unpack_bf16(z.x), unpack_bf16(z.y)};
      *at = make_uint2(pack_bf16(gradient.dz(0, of[0].x, dy[0].x), gradient.dz(1, of[0].y, dy[0].y)),
                       pack_bf16(gradient.dz(2, of[1].x, dy[1].x), gradient.dz(3, of[1].y, dy[1].y)));
    });
  }
}

__global__ void __launch_bounds__(threads, 2) firstLayerGradient(const __grid_constant__ GradientParams p) {
  using T = GradientTile;
  SHARED_MEMORY(char, shared);
  const Lattice &l = p.lattice;
  const HaloLayout &h = p.layout;
  char *plain = shared, *unit = shared + T::points * T::columns * 2;
  float *sums = reinterpret_cast<float *>(unit + T::points * T::columns * 2);
  uint16_t *halo = reinterpret_cast<uint16_t *>(sums + firstLayerTaps * T::columns);
  int columnTile = int(blockIdx.x) % p.columnTiles, tapTile = int(blockIdx.x) / p.columnTiles;
  int64_t split = blockIdx.y, first = split * p.bricksPerSplit, last = first + p.bricksPerSplit;
  last = last < p.allBricks ? last : p.allBricks;
  int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  int columnsLeft = p.plainChannels - columnTile * T::columns;

  int tap[2][2];  // this lane's rows of A: taps lane / 4 and 8 on, of each 16
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int e = 0; e < 2; ++e) tap[i][e] = tapElement(l, h, tapTile * firstLayerTaps + i * 16 + e * 8 + lane / 4);
  int matrix = lane >> 3, r = lane & 7;
  float d[2][2 * T::NT][4] = {};
  for (int64_t index = first; index < last; ++index) {
    Brick brick(index, p.bricks, h.brick);
    __syncthreads();  // the former brick has been used
    overPieces(p, brick, columnTile, [&](int place, int64_t element, bool in) {
      cp_async_16(plain + place, p.plain + element, in);
      if (p.z) cp_async_16(unit + place, p.z + element, in);
    });
    cp_async_commit();
    loadHalo(halo, p.in, l, h, brick);
    cp_async_wait<0>();
    if (p.z) takeUnitGradient(p, brick, columnTile, plain, unit);
    __syncthreads();
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      int firstPoint = warp * 32 + step * 16;
      int point[4];  // of A's columns: 2 t, 2 t + 1 and 8 on
#pragma unroll
      for (int e = 0; e < 4; ++e) point[e] = elementOf(h, l.inStep, firstPoint + lane % 4 * 2 + (e & 1) + (e >> 1) * 8);
      uint32_t left[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          left[i][e] = pairOf(halo, tap[i][e & 1] + point[(e >> 1) * 2], tap[i][e & 1] + point[(e >> 1) * 2 + 1]);
#pragma unroll
      for (int q = 0; q < T::NT; ++q) {
        uint32_t both[4];
        ldmatrix_x4_trans(both, plain + pieceAt(firstPoint + (matrix & 1) * 8 + r, q * 2 + (matrix >> 1)));
        const uint32_t even[2] = {both[0], both[1]}, odd[2] = {both[2], both[3]};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          mma_bf16(d[i][2 * q], left[i], even);
          mma_bf16(d[i][2 * q + 1], left[i], odd);
        }
      }
    }
  }
  // The warps' sums, one after the other.
  for (int turn = 0; turn < threads / 32; ++turn) {
    __syncthreads();
    if (warp != turn) continue;
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 2 * T::NT; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          float *sum = sums + (i * 16 + (e >> 1) * 8 + lane / 4) * T::columns + j * 8 + lane % 4 * 2 + (e & 1);
          *sum = turn == 0 ? d[i][j][e] : *sum + d[i][j][e];
        }
  }
  __syncthreads();
  for (int i = thread; i < firstLayerTaps * T::columns; i += threads) {
    int at = tapTile * firstLayerTaps + i / T::columns, column = i % T::columns;
    if (at < l.taps && column < columnsLeft)
      p.partial[(split * l.taps + at) * p.plainChannels + columnTile * T::columns + column] = sums[i];
  }
}

}  // namespace

void convolveFirstLayerOf(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  const FirstLayerPlan &plan = s.firstLayer;
  Params p{};
  p.lattice = s.lattice;
  p.layout = plan.layout;
  p.bricks = plan.bricks;
  p.in = static_cast<const bf16 *>(pointers.in[0]);
  p.packed = pointers.packed;
  p.steps = s.steps;
  p.columnsPadded = s.columnsPadded;
  p.columnTiles = s.columnsPadded / Tile::columns;
  p.epilogue = makeEpilogue(s, pointers);
  launch(stream, convolveFirstLayer, Grid{unsigned(s.tiles() * p.columnTiles)}, Block{threads}, plan.sharedBytes, p);
}

void weightGradientOfFirstLayer(cudaStream_t stream, const WeightGradientShape &s,
                                const WeightGradientPointers &pointers) {
  GradientParams p{};
  p.lattice = s.lattice;
  p.layout = s.layout;
  p.bricks = s.bricks;
  p.in = static_cast<const bf16 *>(pointers.gathered[0]);
  p.plain = static_cast<const bf16 *>(pointers.plain);
  p.z = static_cast<const bf16 *>(pointers.z);
  p.gradient = pointers.gradient;
  p.plainChannels = s.plain;
  p.columnTiles = (s.plain + firstLayerColumns - 1) / firstLayerColumns;
  p.allBricks = int64_t(s.lattice.images) * s.bricks.x * s.bricks.y * s.bricks.z;
  p.bricksPerSplit = s.bricksPerSplit;
  p.partial = pointers.partial;
  int tapTiles = (s.lattice.taps + firstLayerTaps - 1) / firstLayerTaps;
  launch(stream, firstLayerGradient, Grid{unsigned(tapTiles * p.columnTiles), unsigned(s.splits)}, Block{threads},
         s.sharedBytes, p);
}

}  // namespace semgen::cuda
