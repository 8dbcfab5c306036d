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
//          Where the tiles fill less than half of the card, the channels read are split: each block stores its sums
//          over some of them as they lie in its registers, and finishHalo adds them in order, 16 columns a block.
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
  // Of finishHalo: the same rows of 16 columns.
  static constexpr int finishers = columns / 16, finishThreads = warpRows * 32;
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
  int splits, chunksPerSplit;
  float4 *partial;  // [split, tile, column tile, warp, fragment of 16 x 8, lane]; with one split there is none
  Epilogue epilogue;
};

/// A voxel of the halo: where it lies in its image (-1: outside), and in shared memory.
struct HaloVoxel {
  int voxel, units;
};

/// A brick of a class's points.
struct Place {
  int classIndex;
  int64_t image;
  Int3 first;

  SEMGEN_DEVICE Place(const Params &p, int64_t tile) {
    classIndex = int(tile % p.lattice.classes);
    tile /= p.lattice.classes;
    int z = int(tile % p.bricks.z);
    tile /= p.bricks.z;
    int y = int(tile % p.bricks.y);
    tile /= p.bricks.y;
    int x = int(tile % p.bricks.x);
    image = tile / p.bricks.x;
    first = {x * p.layout.brick.x, y * p.layout.brick.y, z * p.layout.brick.z};
  }
  SEMGEN_DEVICE bool beyond(const PointClass &cls) const {
    return first.x >= cls.points.x || first.y >= cls.points.y || first.z >= cls.points.z;
  }
};

/// The rows of a tile at `place`, by all threads of the block; a barrier must follow before they are read.
template <int points>
SEMGEN_DEVICE void fillRows(EpilogueRows<points> &rows, const Params &p, const Place &place) {
  const Lattice &l = p.lattice;
  const HaloLayout &h = p.layout;
  const PointClass &cls = l.cls[place.classIndex];
  for (int point = threadIdx.x; point < points; point += blockDim.x) {
    int z = point & (h.brick.z - 1), y = point >> h.bits.z & (h.brick.y - 1), x = point >> (h.bits.z + h.bits.y);
    x += place.first.x, y += place.first.y, z += place.first.z;
    if (x < cls.points.x && y < cls.points.y && z < cls.points.z) {
      rows.set(point, l, place.image, cls.origin.x + x * l.outStep.x, cls.origin.y + y * l.outStep.y,
               cls.origin.z + z * l.outStep.z);
    } else {
      rows.voxel[point] = -1;
      rows.kind[point] = 0;
    }
  }
}

SEMGEN_DEVICE void nothingAt(const Params &p, int64_t tile, int firstChannel) {
  if (p.epilogue.statistics.counts && firstChannel == 0 && threadIdx.x == 0) p.epilogue.statistics.counts[tile] = 0;
}

/// Stores a tile, and takes of it what normalisation wants to know.
template <class T, int NT, int warpColumns>
SEMGEN_DEVICE void finish(const Params &p, const EpilogueRows<T::points> &rows, float (&d)[T::MT][2 * NT][4],
                          char *scratch, int64_t tile, int firstChannel) {
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  storeTiles<bf16, T::MT, NT>(p.epilogue, rows, d, warp / warpColumns * 64, firstChannel + warp % warpColumns * NT * 16,
                              lane);
  if (p.epilogue.statistics.moments)
    tileStatistics<T::MT, NT, T::warpRows, warpColumns>(p.epilogue, rows, d, reinterpret_cast<float *>(scratch), tile,
                                                        firstChannel);
  if (p.epilogue.unit.z)
    tileUnitSums<T::MT, NT, T::warpRows, warpColumns>(p.epilogue, rows, d, reinterpret_cast<float2 *>(scratch), tile,
                                                      firstChannel);
}

template <class T>
__global__ void __launch_bounds__(T::threads, 1) convolveHalo(const __grid_constant__ Params p) {
  SHARED_MEMORY(char, shared);
  const Lattice &l = p.lattice;
  const HaloLayout &h = p.layout;
  int64_t tile = blockIdx.x / p.columnTiles;
  int columnTile = int(blockIdx.x % p.columnTiles), split = blockIdx.y;
  const Place place(p, tile);
  const PointClass &cls = l.cls[place.classIndex];
  if (place.beyond(cls)) {
    if (!p.partial) nothingAt(p, tile, columnTile);
    return;
  }
  Int3 first = place.first;

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

  int perTap = p.chunks[0] + p.chunks[1], firstChunk = split * p.chunksPerSplit,
      lastChunk = firstChunk + p.chunksPerSplit;
  lastChunk = lastChunk < perTap ? lastChunk : perTap;
  int taps = cls.taps, steps = taps * (lastChunk - firstChunk);
  int64_t imageVoxel = place.image * l.in.x * l.in.y * l.in.z;
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
  int loadTap = 0, loadChunk = firstChunk, loaded = 0;
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
  loadHalo(firstChunk, 0, p.haloVoxels);
#pragma unroll
  for (int s = 0; s < T::stages - 1; ++s) {
    if (s < steps) loadWeights();
    cp_async_commit();
  }
  float d[T::MT][2 * T::NT][4] = {};
  int tap = 0, chunk = firstChunk;
  for (int step = 0; step < steps; ++step) {
    if (tap == 0 && chunk > firstChunk && p.buffers == 1) {
      __syncthreads();
      loadHalo(chunk, 0, p.haloVoxels);
      cp_async_commit();
      cp_async_wait<0>();
    } else {
      cp_async_wait<T::stages - 2>();
    }
    // What was loaded stages - 1 steps ago is there now: the last part of a halo with the first tap that needs it.
    if (tap == 0 && (chunk == firstChunk || p.buffers == 1))
      normalise(chunk, 0, p.haloVoxels);
    else if (tap == 0)
      normalise(chunk, (loadingTaps - 1) * voxelsPerTap, loadingTaps * voxelsPerTap);
    else if (p.buffers > 1 && chunk + 1 < lastChunk && tap >= T::stages - 1)
      normalise(chunk + 1, (tap - T::stages + 1) * voxelsPerTap, (tap - T::stages + 2) * voxelsPerTap);
    __syncthreads();
    if (loaded < steps) loadWeights();
    if (p.buffers > 1 && chunk + 1 < lastChunk && tap < loadingTaps)
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

  if (p.partial) {
    float4 *to = p.partial + ((int64_t(split) * gridDim.x + blockIdx.x) * 8 + warp) * T::MT * 2 * T::NT * 32 + lane;
#pragma unroll
    for (int i = 0; i < T::MT; ++i)
#pragma unroll
      for (int j = 0; j < 2 * T::NT; ++j)
        to[(i * 2 * T::NT + j) * 32] = make_float4(d[i][j][0], d[i][j][1], d[i][j][2], d[i][j][3]);
    return;
  }
  EpilogueRows<T::points> rows(weights);
  fillRows(rows, p, place);
  __syncthreads();
  finish<T, T::NT, T::warpColumns>(p, rows, d, halos, tile, columnTile * T::columns);
}

/// 16 columns of a tile from the splits' sums, in their order.
template <class T>
__global__ void __launch_bounds__(T::finishThreads) finishHalo(const __grid_constant__ Params p) {
  SHARED_MEMORY(char, shared);
  int64_t block = blockIdx.x / T::finishers, tile = block / p.columnTiles, blocks = gridDim.x / T::finishers;
  int part = int(blockIdx.x % T::finishers), firstChannel = int(block % p.columnTiles) * T::columns + part * 16;
  const Place place(p, tile);
  if (place.beyond(p.lattice.cls[place.classIndex])) return nothingAt(p, tile, firstChannel);
  EpilogueRows<T::points> rows(shared);
  fillRows(rows, p, place);
  // Of the warp that computed these rows and columns: its columns' part q.
  int lane = threadIdx.x & 31, q = part % T::NT, warp = (threadIdx.x >> 5) * T::warpColumns + part / T::NT;
  constexpr int fragments = T::MT * 2 * T::NT;
  const float4 *from = p.partial + ((block * 8 + warp) * fragments + 2 * q) * 32 + lane;
  float d[T::MT][2][4] = {};
  for (int split = 0; split < p.splits; ++split, from += blocks * 8 * fragments * 32)
#pragma unroll
    for (int i = 0; i < T::MT; ++i)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float4 sum = from[(i * 2 * T::NT + j) * 32];
        d[i][j][0] += sum.x, d[i][j][1] += sum.y, d[i][j][2] += sum.z, d[i][j][3] += sum.w;
      }
  __syncthreads();
  finish<T, 1, 1>(p, rows, d, shared + EpilogueRows<T::points>::bytes, tile, firstChannel);
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
  p.splits = s.choice.splits;
  p.chunksPerSplit = s.chunksPerSplit();
  p.partial = p.splits > 1 ? pointers.partial : nullptr;
  p.epilogue = makeEpilogue(s, pointers);
  unsigned blocks = unsigned(s.tiles() * p.columnTiles);
  launch(stream, convolveHalo<T>, Grid{blocks, unsigned(p.splits), 1}, Block{T::threads}, plan.sharedBytes, p);
  if (p.splits == 1) return;
  size_t sharedBytes = EpilogueRows<T::points>::bytes + size_t(T::warpRows) * 16 * sizeof(float2);
  launch(stream, finishHalo<T>, Grid{blocks * T::finishers, 1, 1}, Block{T::finishThreads}, sharedBytes, p);
}

}  // namespace

void convolveWithHalo(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  if (s.halo.columns == 128) return start<Tile<256, 128>>(stream, s, pointers);
  if (s.halo.columns == 64) return start<Tile<512, 64>>(stream, s, pointers);
  start<Tile<512, 32>>(stream, s, pointers);
}

}  // namespace semgen::cuda
