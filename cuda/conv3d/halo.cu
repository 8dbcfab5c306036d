// Dense convolutions (neighbouring points on neighbouring voxels: stride 1, its data gradient, each parity of a
// transposed one) in bfloat16: a brick of voxels with its halo in shared memory serves all taps of 32 channels, since
// ldmatrix takes an address a row and a tap only shifts all rows by the same distance.
//
// Layout   activations N, X, Y, Z, C dense, multiples of 32 channels; weights packed as for convolve.cu. The halo lies
//          in shared memory as HaloLayout says; voxels outside are zeros that cp.async writes without reading.
// Tiling   512 points x 32 or 64 channels, or 256 x 128, by eight warps of 64 x 64 (64 x 32). For each 32 channels in
//          turn: the halo (loaded tap by tap while the previous channels are used, where two fit), then a tap's weights
//          a step, in four stages.
//          An input that is a conv unit's z becomes its y in shared memory: each thread normalises what it copied as
//          soon as that is there, 25 tensor-core instructions for every one of this.
// Cost     2 * points * taps * depth * channels operations. A block reads a halo of 10 x 10 x 10 (10 x 10 x 6) voxels
// and
//          27 x columns weight rows of 64 bytes for 27 x 32 x points x columns products: about 190-260 operations a
//          byte of L2. Shared memory: twice the halo at 80 bytes a voxel, 4 * columns * 64 bytes of weights, 8 bytes a
//          voxel.
#include "cuda/conv3d/convolve.h"
#include "cuda/conv3d/epilogue.cuh"
#include "cuda/conv3d/halo.h"
#include "cuda/conv3d/tile.cuh"
#include "cuda/launch.h"
#include "cuda/norm/affine.cuh"

namespace semgen::cuda {

namespace {

template <int points_, int columns_>
struct Tile {
  static constexpr int points = points_, columns = columns_, threads = 256, stages = 4;
  static constexpr int warpRows = points / 64, warpColumns = 8 / warpRows;
  static constexpr int MT = 4, NT = columns / warpColumns / 16;
  static constexpr int stageBytes = columns * 64;
  static_assert(EpilogueRows<points>::bytes <= stages * stageBytes);
};

struct Params {
  Lattice lattice;
  HaloLayout layout;
  uint16_t tapUnits[maxTaps];
  Int3 bricks;
  int buffers, haloVoxels;
  const void *in[2];
  const float2 *affine[2];
  int inChannels[2], chunks[2];
  const void *packed;
  int columnsPadded, columnTiles;
  Epilogue epilogue;
};

/// A voxel of the halo: where it lies in its image (-1: outside), and in shared memory.
struct HaloVoxel {
  int voxel, units;
};

template <class T>
__global__ void __launch_bounds__(T::threads, 1) convolveHalo(const __grid_constant__ Params p) {
  SHARED_MEMORY(char, shared);
  const Lattice &l = p.lattice;
  const HaloLayout &h = p.layout;
  int64_t block = blockIdx.x;
  int columnTile = int(block % p.columnTiles);
  block /= p.columnTiles;
  int64_t tile = block;
  int classIndex = int(block % l.classes);
  block /= l.classes;
  const PointClass &cls = l.cls[classIndex];
  int brickZ = int(block % p.bricks.z);
  block /= p.bricks.z;
  int brickY = int(block % p.bricks.y);
  block /= p.bricks.y;
  int brickX = int(block % p.bricks.x);
  int64_t image = block / p.bricks.x;
  Int3 first{brickX * h.brick.x, brickY * h.brick.y, brickZ * h.brick.z};
  if (first.x >= cls.points.x || first.y >= cls.points.y || first.z >= cls.points.z) {
    if (p.epilogue.statistics.counts && columnTile == 0 && threadIdx.x == 0) p.epilogue.statistics.counts[tile] = 0;
    return;
  }

  char *halos = shared, *weights = shared + p.buffers * h.units * 16;
  HaloVoxel *table = reinterpret_cast<HaloVoxel *>(weights + T::stages * T::stageBytes);
  int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  for (int v = thread; v < p.haloVoxels; v += T::threads) {
    int xy = v / h.halo.z, z = v - xy * h.halo.z, x = xy / h.halo.y, y = xy - x * h.halo.y;
    int atX = first.x + x + h.low.x, atY = first.y + y + h.low.y, atZ = first.z + z + h.low.z;
    bool in = unsigned(atX) < unsigned(l.in.x) && unsigned(atY) < unsigned(l.in.y) && unsigned(atZ) < unsigned(l.in.z);
    table[v] = {in ? (atX * l.in.y + atY) * l.in.z + atZ : -1, x * h.plane + y * h.line + z * h.voxel};
  }
  __syncthreads();

  int taps = cls.taps, perTap = p.chunks[0] + p.chunks[1], steps = taps * perTap;
  int64_t imageVoxel = image * l.in.x * l.in.y * l.in.z;
  // Eight lanes copy the pieces of voxels v and v + 4: together, all banks.
  int haloPiece = thread & 3, haloFirst = (thread >> 5) * 8 + (thread >> 2 & 1) * 4 + (thread >> 3 & 3);
  // Copies the voxels [from, to) of 32 channels, in rounds of 64.
  auto loadHalo = [&](int chunk, int from, int to) {
    int source = chunk >= p.chunks[0], channels = p.inChannels[source];
    const bf16 *in = static_cast<const bf16 *>(p.in[source]) + imageVoxel * channels +
                     (chunk - (source ? p.chunks[0] : 0)) * 32 + haloPiece * 8;
    char *halo = halos + (p.buffers > 1 && chunk & 1 ? h.units * 16 : 0) + haloPiece * 16;
    for (int v = from + haloFirst; v < to; v += 64) {
      if (v >= p.haloVoxels) continue;
      HaloVoxel voxel = table[v];
      cp_async_16(halo + voxel.units * 16, voxel.voxel < 0 ? in : in + int64_t(voxel.voxel) * channels,
                  voxel.voxel >= 0);
    }
  };
  // What this thread copied, once it is there: y in place of z. Zeros of padding stay.
  auto normalise = [&](int chunk, int from, int to) {
    int source = chunk >= p.chunks[0];
    if (!p.affine[source]) return;
    int channelPiece = (chunk - (source ? p.chunks[0] : 0)) * 4 + haloPiece;
    char *halo = halos + (p.buffers > 1 && chunk & 1 ? h.units * 16 : 0) + haloPiece * 16;
    for (int v = from + haloFirst; v < to; v += 64) {
      if (v >= p.haloVoxels) continue;
      HaloVoxel voxel = table[v];
      if (voxel.voxel < 0) continue;
      uint4 *piece = reinterpret_cast<uint4 *>(halo + voxel.units * 16);
      *piece = normalisedPiece(*piece, p.affine[source], channelPiece);
    }
  };
  const char *packed = static_cast<const char *>(p.packed) + int64_t(columnTile) * T::columns * 64;
  int loadTap = 0, loadChunk = 0, loaded = 0;
  auto loadWeights = [&] {
    const char *from = packed + (int64_t(cls.firstTap + loadTap) * perTap + loadChunk) * p.columnsPadded * 64;
    char *to = weights + loaded % T::stages * T::stageBytes;
    constexpr int pieces = T::columns * 4;
#pragma unroll
    for (int i = 0; i < (pieces + T::threads - 1) / T::threads; ++i) {
      int at = i * T::threads + thread;
      if (pieces % T::threads == 0 || at < pieces) cp_async_16(to + pieceAt(at >> 2, at & 3), from + at * 16);
    }
    ++loaded;
    if (++loadTap == taps) loadTap = 0, ++loadChunk;
  };

  int aRow = warp / T::warpColumns * 64, bRow = warp % T::warpColumns * T::NT * 16;
  int rowBytes[T::MT];
#pragma unroll
  for (int i = 0; i < T::MT; ++i) {
    int point = aRow + i * 16 + (lane & 15);
    int z = point & (h.brick.z - 1), y = point >> h.bits.z & (h.brick.y - 1), x = point >> (h.bits.z + h.bits.y);
    rowBytes[i] = (x * h.plane + y * h.line + z * h.voxel + (lane >> 4)) * 16;
  }
  int bBytes[2];
#pragma unroll
  for (int step = 0; step < 2; ++step)
    bBytes[step] = pieceAt(bRow + (lane >> 4) * 8 + (lane & 7), step * 2 + (lane >> 3 & 1));

  // Weights of step s are there at step s; of the next halo, a part goes with the weights loaded at each tap, early
  // enough for the last part to be there when it is needed.
  int rounds = (p.haloVoxels + 63) / 64, loadingTaps = taps - T::stages + 2;
  int voxelsPerTap = (rounds + loadingTaps - 1) / loadingTaps * 64;
  loadHalo(0, 0, p.haloVoxels);
#pragma unroll
  for (int s = 0; s < T::stages - 1; ++s) {
    if (s < steps) loadWeights();
    cp_async_commit();
  }
  float d[T::MT][2 * T::NT][4] = {};
  int tap = 0, chunk = 0;
  for (int step = 0; step < steps; ++step) {
    if (tap == 0 && chunk > 0 && p.buffers == 1) {
      __syncthreads();
      loadHalo(chunk, 0, p.haloVoxels);
      cp_async_commit();
      cp_async_wait<0>();
    } else {
      cp_async_wait<T::stages - 2>();
    }
    // What was loaded stages - 1 steps ago is there now: the last part of a halo with the first tap that needs it.
    if (tap == 0 && (chunk == 0 || p.buffers == 1))
      normalise(chunk, 0, p.haloVoxels);
    else if (tap == 0)
      normalise(chunk, (loadingTaps - 1) * voxelsPerTap, loadingTaps * voxelsPerTap);
    else if (p.buffers > 1 && chunk + 1 < perTap && tap >= T::stages - 1)
      normalise(chunk + 1, (tap - T::stages + 1) * voxelsPerTap, (tap - T::stages + 2) * voxelsPerTap);
    __syncthreads();
    if (loaded < steps) loadWeights();
    if (p.buffers > 1 && chunk + 1 < perTap && tap < loadingTaps)
      loadHalo(chunk + 1, tap * voxelsPerTap, (tap + 1) * voxelsPerTap);
    cp_async_commit();

    const char *a = halos + (p.buffers > 1 && chunk & 1 ? h.units * 16 : 0) + p.tapUnits[cls.firstTap + tap] * 16;
    const char *b = weights + step % T::stages * T::stageBytes;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t left[T::MT][4];
#pragma unroll
      for (int i = 0; i < T::MT; ++i) ldmatrix_x4(left[i], a + rowBytes[i] + half * 32);
#pragma unroll
      for (int q = 0; q < T::NT; ++q) {
        uint32_t both[4];
        ldmatrix_x4(both, b + bBytes[half] + q * 16 * 64);
        const uint32_t even[2] = {both[0], both[1]}, odd[2] = {both[2], both[3]};
#pragma unroll
        for (int i = 0; i < T::MT; ++i) {
          mma_bf16(d[i][2 * q], left[i], even);
          mma_bf16(d[i][2 * q + 1], left[i], odd);
        }
      }
    }
    if (++tap == taps) tap = 0, ++chunk;
  }
  cp_async_wait<0>();
  __syncthreads();

  EpilogueRows<T::points> rows(weights);
  for (int point = thread; point < T::points; point += T::threads) {
    int z = point & (h.brick.z - 1), y = point >> h.bits.z & (h.brick.y - 1), x = point >> (h.bits.z + h.bits.y);
    x += first.x, y += first.y, z += first.z;
    if (x < cls.points.x && y < cls.points.y && z < cls.points.z) {
      rows.set(point, l, image, cls.origin.x + x * l.outStep.x, cls.origin.y + y * l.outStep.y,
               cls.origin.z + z * l.outStep.z);
    } else {
      rows.voxel[point] = -1;
      rows.kind[point] = 0;
    }
  }
  __syncthreads();
  storeTiles<bf16, T::MT, T::NT>(p.epilogue, rows, d, aRow, columnTile * T::columns + bRow, lane);
  if (p.epilogue.statistics.moments)
    tileStatistics<T::MT, T::NT, T::warpRows, T::warpColumns>(p.epilogue, rows, d, reinterpret_cast<float *>(halos),
                                                              tile, columnTile * T::columns);
  if (p.epilogue.unit.z)
    tileUnitSums<T::MT, T::NT, T::warpRows, T::warpColumns>(p.epilogue, rows, d, reinterpret_cast<float2 *>(halos),
                                                            tile, columnTile * T::columns);
}

template <class T>
void start(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  const HaloPlan &plan = s.halo;
  Params p{};
  p.lattice = s.lattice;
  p.layout = plan.layout;
  for (int t = 0; t < s.lattice.taps; ++t) p.tapUnits[t] = uint16_t(plan.tapUnits[t]);
  p.bricks = plan.bricks;
  p.buffers = plan.buffers;
  p.haloVoxels = int(plan.layout.haloVoxels());
  for (int i = 0; i < 2; ++i) {
    p.in[i] = pointers.in[i];
    p.affine[i] = pointers.affine[i];
    p.inChannels[i] = s.inChannels[i];
    p.chunks[i] = s.chunks[i];
  }
  p.packed = pointers.packed;
  p.columnsPadded = s.columnsPadded;
  p.columnTiles = s.columnsPadded / T::columns;
  p.epilogue = makeEpilogue(s, pointers);
  int64_t blocks = s.tiles() * p.columnTiles;
  launch(stream, convolveHalo<T>, Grid{unsigned(blocks), 1, 1}, Block{T::threads}, plan.sharedBytes, p);
}

}  // namespace

void convolveWithHalo(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  if (s.halo.columns == 128) return start<Tile<256, 128>>(stream, s, pointers);
  if (s.halo.columns == 64) return start<Tile<512, 64>>(stream, s, pointers);
  start<Tile<512, 32>>(stream, s, pointers);
}

}  // namespace semgen::cuda
