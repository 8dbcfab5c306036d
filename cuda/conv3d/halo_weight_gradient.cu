// Weight gradients of 3x3x3 convolutions of stride 1 in bfloat16: a brick of 128 points with its halo in shared memory
// serves all 27 taps, and the partial sums of a block's bricks stay in registers.
//
// Layout   activations N, X, Y, Z, C dense; channels of the gathered inputs in multiples of 16, of the plain one of 8.
// Tiling   a block of nine warps computes 27 taps x 16 gathered channels x 64 plain channels, three taps a warp, over
// its
//          share of the bricks; two stages of cp.async. Points are the depth of the product and the slow axis of both
//          tiles: ldmatrix.trans, an address a row, so a tap is a shift of all rows. A gathered input that is a conv
//          unit's z becomes its y in shared memory, by the threads that copied it.
// Cost     2 * points * 27 * channels * rows operations. A brick costs a block about 360 x 32 + 128 x 128 bytes from L2
//          for 7 MFLOP: 250 operations a byte. 96 accumulators a thread; shared memory 2 x (17 + 16) KB. A block that
//          has all bricks writes its part of the gradient; others write partial sums, which sum_splits.cu reads once
//          more.
#include "cuda/conv3d/tile.cuh"
#include "cuda/conv3d/weight_gradient.h"
#include "cuda/launch.h"
#include "cuda/norm/affine.cuh"

namespace semgen::cuda {

namespace {

struct Tile {
  static constexpr int warps = 9, threads = warps * 32, taps = 3;  // taps a warp
  static constexpr int channels = haloGradientChannels, columns = haloGradientColumns;
  static constexpr int points = 1 << haloGradientPointBits, stages = haloGradientStages;
  static constexpr int NT = columns / 16, plainBytes = points * columns * 2;
};

struct Params {
  Lattice lattice;
  HaloLayout layout;
  int tapUnits[27], stepUnits[Tile::points / 16];  // of a tap; of the first point of each 16
  Int3 bricks;
  int haloVoxels, channels[2], plainChannels, channelTiles, columnTiles;
  const void *gathered[2], *plain;
  const float2 *affine[2];
  int64_t allBricks, bricksPerSplit, flat;
  float *partial;  // or, with one split,
  float *dweight;
  WeightsView view;
};

/// A voxel of the halo as seen from the brick's first point, and where it lies in shared memory.
struct HaloVoxel {
  int8_t x, y, z, unused;
  int units;
};

/// Where a brick begins.
struct BrickStart {
  int64_t image;
  int x, y, z;
};

__global__ void __launch_bounds__(Tile::threads, 1) haloWeightGradient(const __grid_constant__ Params p) {
  SHARED_MEMORY(char, shared);
  using T = Tile;
  const Lattice &l = p.lattice;
  const HaloLayout &h = p.layout;
  int columnTile = int(blockIdx.x) % p.columnTiles, channelTile = int(blockIdx.x) / p.columnTiles;
  int64_t split = blockIdx.y;
  int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  int haloBytes = h.units * 16, stageBytes = haloBytes + T::plainBytes;
  HaloVoxel *table = reinterpret_cast<HaloVoxel *>(shared + T::stages * stageBytes);
  for (int v = thread; v < p.haloVoxels; v += T::threads) {
    int xy = v / h.halo.z, z = v - xy * h.halo.z, x = xy / h.halo.y, y = xy - x * h.halo.y;
    table[v] = {int8_t(x + h.low.x), int8_t(y + h.low.y), int8_t(z + h.low.z), 0,
                x * h.plane + y * h.line + z * h.voxel};
  }
  __syncthreads();

  int firstChannel = channelTile * T::channels, source = firstChannel >= p.channels[0];
  int channels = p.channels[source], channelInSource = firstChannel - (source ? p.channels[0] : 0);
  const bf16 *gathered = static_cast<const bf16 *>(p.gathered[source]) + channelInSource;
  const bf16 *plain = static_cast<const bf16 *>(p.plain) + columnTile * T::columns;
  int columnsLeft = p.plainChannels - columnTile * T::columns;
  const float2 *affine = p.affine[source];
  auto firstOf = [&](int64_t brick) {
    int64_t rest = brick;
    int z = int(rest % p.bricks.z) * h.brick.z;
    rest /= p.bricks.z;
    int y = int(rest % p.bricks.y) * h.brick.y;
    rest /= p.bricks.y;
    int x = int(rest % p.bricks.x) * h.brick.x;
    return BrickStart{rest / p.bricks.x, x, y, z};
  };
  // Eight lanes copy the two pieces of every other voxel of eight: together, all banks.
  int haloPiece = thread & 1, haloFirst = (thread >> 4) * 8 + (thread >> 1 & 3) * 2 + (thread >> 3 & 1);
  // body(the voxel's place in shared memory, its number in the image, whether it lies inside) for this thread's voxels.
  auto overHalo = [&](const BrickStart &b, auto &&body) {
    for (int i = haloFirst; i < p.haloVoxels; i += T::threads / 2) {
      HaloVoxel v = table[i];
      int atX = b.x + v.x, atY = b.y + v.y, atZ = b.z + v.z;
      bool in =
          unsigned(atX) < unsigned(l.in.x) && unsigned(atY) < unsigned(l.in.y) && unsigned(atZ) < unsigned(l.in.z);
      body((v.units + haloPiece) * 16, ((b.image * l.in.x + atX) * l.in.y + atY) * l.in.z + atZ, in);
    }
  };
  auto normalise = [&](int64_t brick, char *stage) {
    if (!affine) return;
    overHalo(firstOf(brick), [&](int place, int64_t, bool in) {
      uint4 *at = reinterpret_cast<uint4 *>(stage + place);
      if (in) *at = normalisedPiece(*at, affine, channelInSource / 8 + haloPiece);
    });
  };
  auto load = [&](int64_t brick, char *stage) {
    auto [image, x, y, z] = firstOf(brick);
    overHalo({image, x, y, z}, [&](int place, int64_t voxel, bool in) {
      cp_async_16(stage + place, in ? gathered + voxel * channels + haloPiece * 8 : gathered, in);
    });
    char *b = stage + haloBytes;
    for (int i = thread; i < T::points * 8; i += T::threads) {
      int point = i >> 3, piece = i & 7;
      int atZ = z + (point & (h.brick.z - 1)), atY = y + (point >> h.bits.z & (h.brick.y - 1)),
          atX = x + (point >> (h.bits.z + h.bits.y));
      bool in = atX < l.out.x && atY < l.out.y && atZ < l.out.z && piece * 8 < columnsLeft;
      int64_t voxel = ((image * l.out.x + atX) * l.out.y + atY) * l.out.z + atZ;
      cp_async_16(b + point * 128 + ((piece ^ (point & 7)) << 4),
                  in ? plain + voxel * p.plainChannels + piece * 8 : plain, in);
    }
  };

  // Rows that this lane addresses: of A, points of a halo under a tap; of B, points of the brick.
  int matrix = lane >> 3, r = lane & 7;
  int aPoint = (matrix >> 1) * 8 + r;
  int aBytes = ((aPoint >> (h.bits.z + h.bits.y)) * h.plane + (aPoint >> h.bits.z & (h.brick.y - 1)) * h.line +
                (aPoint & (h.brick.z - 1)) * h.voxel + (matrix & 1)) *
               16;
  int bRow = ((matrix & 1) * 8 + r) * 128, bPiece = matrix >> 1;
  int tapBytes[T::taps];
#pragma unroll
  for (int t = 0; t < T::taps; ++t) tapBytes[t] = p.tapUnits[warp * T::taps + t] * 16 + aBytes;

  float d[T::taps][2 * T::NT][4] = {};
  int64_t brick = split * p.bricksPerSplit, last = brick + p.bricksPerSplit;
  last = last < p.allBricks ? last : p.allBricks;
  load(brick, shared);
  cp_async_commit();
  for (int stage = 0; brick < last; ++brick, stage ^= 1) {
    cp_async_wait<0>();
    normalise(brick, shared + stage * stageBytes);
    __syncthreads();
    if (brick + 1 < last) load(brick + 1, shared + (stage ^ 1) * stageBytes);
    cp_async_commit();
    const char *a = shared + stage * stageBytes, *b = a + haloBytes;
#pragma unroll 2
    for (int step = 0; step < T::points / 16; ++step) {
      const char *aStep = a + p.stepUnits[step] * 16, *bStep = b + step * 16 * 128 + bRow;
      uint32_t left[T::taps][4];
#pragma unroll
      for (int t = 0; t < T::taps; ++t) ldmatrix_x4_trans(left[t], aStep + tapBytes[t]);
#pragma unroll
      for (int q = 0; q < T::NT; ++q) {
        uint32_t both[4];
        ldmatrix_x4_trans(both, bStep + (((q * 2 + bPiece) ^ r) << 4));
        const uint32_t even[2] = {both[0], both[1]}, odd[2] = {both[2], both[3]};
#pragma unroll
        for (int t = 0; t < T::taps; ++t) {
          mma_bf16(d[t][2 * q], left[t], even);
          mma_bf16(d[t][2 * q + 1], left[t], odd);
        }
      }
    }
  }

  if (p.dweight) {
    // Half of the columns at a time through shared memory: what lies side by side in the gradient is written so.
    constexpr int half = T::columns / 2, inColumn = 27 * T::channels;
    float *tile = reinterpret_cast<float *>(shared);
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      __syncthreads();
#pragma unroll
      for (int t = 0; t < T::taps; ++t)
#pragma unroll
        for (int i = 0; i < 2; ++i)
#pragma unroll
          for (int j = 0; j < T::NT; ++j) {
            float *to =
                tile + (j * 8 + lane % 4 * 2) * haloGradientPitch + (i * 8 + lane / 4) * 27 + warp * T::taps + t;
            to[0] = d[t][part * T::NT + j][2 * i];
            to[haloGradientPitch] = d[t][part * T::NT + j][2 * i + 1];
          }
      __syncthreads();
      for (int k = thread; k < half * inColumn; k += T::threads) {
        int inTile = k / inColumn, at = k - inTile * inColumn, channel = at / 27, column = part * half + inTile;
        if (column < columnsLeft)
          p.dweight[(columnTile * T::columns + column) * p.view.rowStride +
                    (firstChannel + channel) * p.view.depthStride + (at - channel * 27) * p.view.tapStride] =
              tile[inTile * haloGradientPitch + at];
      }
    }
    return;
  }
  float *partial = p.partial + split * p.flat * p.plainChannels;
  int64_t before = source ? int64_t(27) * p.channels[0] : 0;
#pragma unroll
  for (int t = 0; t < T::taps; ++t)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int64_t row = before + int64_t(warp * T::taps + t) * channels + channelInSource + i * 8 + lane / 4;
#pragma unroll
      for (int j = 0; j < 2 * T::NT; ++j) {
        int column = j * 8 + lane % 4 * 2;
        if (column < columnsLeft)
          *reinterpret_cast<float2 *>(partial + row * p.plainChannels + columnTile * T::columns + column) =
              make_float2(d[t][j][2 * i], d[t][j][2 * i + 1]);
      }
    }
}

}  // namespace

void weightGradientWithHalo(cudaStream_t stream, const WeightGradientShape &s, const WeightGradientPointers &pointers) {
  using T = Tile;
  const HaloLayout &h = s.layout;
  Params p{};
  p.lattice = s.lattice;
  p.layout = h;
  for (int t = 0; t < 27; ++t)
    p.tapUnits[t] = (s.lattice.x[t] - h.low.x) * h.plane + (s.lattice.y[t] - h.low.y) * h.line +
                    (s.lattice.z[t] - h.low.z) * h.voxel;
  for (int step = 0; step < T::points / 16; ++step) {
    int point = step * 16;
    p.stepUnits[step] = (point >> (h.bits.z + h.bits.y)) * h.plane + (point >> h.bits.z & (h.brick.y - 1)) * h.line +
                        (point & (h.brick.z - 1)) * h.voxel;
  }
  p.bricks = s.bricks;
  p.haloVoxels = int(h.haloVoxels());
  for (int i = 0; i < 2; ++i) {
    p.gathered[i] = pointers.gathered[i];
    p.affine[i] = pointers.affine[i];
    p.channels[i] = s.gathered[i];
  }
  p.plain = pointers.plain;
  p.plainChannels = s.plain;
  p.channelTiles = (s.gathered[0] + s.gathered[1]) / T::channels;
  p.columnTiles = (s.plain + T::columns - 1) / T::columns;
  p.allBricks = int64_t(s.lattice.images) * s.bricks.x * s.bricks.y * s.bricks.z;
  p.bricksPerSplit = s.bricksPerSplit;
  p.flat = s.flat;
  p.partial = pointers.partial;
  p.dweight = s.writesGradient() ? pointers.dweight : nullptr;
  p.view = s.view;
  launch(stream, haloWeightGradient, Grid{unsigned(p.channelTiles * p.columnTiles), unsigned(s.splits), 1},
         Block{T::threads}, s.sharedBytes, p);
}

}  // namespace semgen::cuda
