// Convolution forward, data gradient and transposed convolution, any kernel, stride, padding and channel counts, as an
// implicit matrix product: out[point, channel] = sum over taps and depth of in[voxel(point, tap), depth] * weight.
//
// Layout   activations N, X, Y, Z, C dense; weights packed as [step of depth][channel][64 bytes].
// Tiling   a block of 256 threads computes 128 points by 16-128 channels. Depth goes in steps of 64 bytes of one tap
//          (flat: of the run over taps x channels), through three stages of cp.async. Rows of 64 bytes, swizzled: no
//          bank conflicts in ldmatrix and cp.async. Voxels outside are zeros that cp.async writes without reading.
// Cost     2 * points * taps * depth * channels operations; each block reads 128 + columns rows a step, mostly from L2.
//          Shared memory 3 * (128 + columns) * 64 bytes + 1.2 KB.
#include "cuda/conv3d/convolve.h"
#include "cuda/conv3d/epilogue.cuh"
#include "cuda/conv3d/tile.cuh"
#include "cuda/launch.h"
#include "cuda/norm/affine.cuh"

namespace semgen::cuda {

namespace {

template <Arithmetic arithmetic_, int columns_, bool flat_>
struct Tile : Numbers<arithmetic_> {
  static constexpr Arithmetic arithmetic = arithmetic_;
  static constexpr bool flat = flat_;
  static constexpr int points = 128, columns = columns_, threads = 256, stages = 3;
  // May be a last layer of one tap: see ConvolveShape::computesUnits.
  static constexpr bool pointwise = arithmetic == Arithmetic::bf16 && columns == 16 && !flat;
  // Eight warps over the tile, 64 x 32 each where it is widest.
  static constexpr int warpColumns = columns >= 128 ? 4 : columns >= 64 ? 2 : 1, warpRows = 8 / warpColumns;
  static constexpr int MT = points / warpRows / 16, NT = columns / warpColumns / 16;
  static constexpr int stageBytes = (points + columns) * 64;
  static constexpr int sharedBytes = stages * stageBytes + EpilogueRows<points>::bytes;
};

struct Params {
  Lattice lattice;
  const void *in[2];
  const float2 *affine[2];
  int inChannels[2], chunks[2];  // chunks: steps of depth in a tap (flat: unused)
  const void *packed;
  int columnsPadded, columnTiles;
  Epilogue epilogue;
};

/// Fills stages of A (voxels) and B (weights).
template <class T>
struct Loader {
  using Element = typename T::Element;
  static constexpr int rowsEach = T::points / 64;
  const Params &p;
  const PointClass &cls;
  const char *packed;
  int64_t base[rowsEach];  // voxel of the point itself
  Int3 at[rowsEach];
  int piece, row;
  int tap = 0, source = 0, chunk = 0, step = 0;  // of the next load

  SEMGEN_DEVICE Loader(const Params &p, const PointClass &cls, int firstChunk, int64_t firstPoint, int firstColumn)
      : p(p), cls(cls), piece(threadIdx.x & 3), row(threadIdx.x >> 2) {
    const Lattice &l = p.lattice;
    packed = static_cast<const char *>(p.packed) + (int64_t(firstChunk) * p.columnsPadded + firstColumn) * 64;
    int64_t each = int64_t(cls.points.x) * cls.points.y * cls.points.z;
#pragma unroll
    for (int i = 0; i < rowsEach; ++i) {
      int64_t point = firstPoint + row + i * 64, image = point / each;
      int rest = int(point - image * each);
      int z = rest % cls.points.z, xy = rest / cls.points.z;
      at[i] = {xy / cls.points.y * l.inStep.x, xy % cls.points.y * l.inStep.y, z * l.inStep.z};
      base[i] = ((image * l.in.x + at[i].x) * l.in.y + at[i].y) * l.in.z + at[i].z;
      if (image >= l.images) at[i].x = -1 << 20;  // no point: outside under every tap
    }
  }

  SEMGEN_DEVICE bool inside(int i, int x, int y, int z) const {
    const Int3 &in = p.lattice.in;
    return unsigned(at[i].x + x) < unsigned(in.x) && unsigned(at[i].y + y) < unsigned(in.y) &&
           unsigned(at[i].z + z) < unsigned(in.z);
  }
  SEMGEN_DEVICE int64_t shift(int x, int y, int z) const {
    return (int64_t(x) * p.lattice.in.y + y) * p.lattice.in.z + z;
  }
  SEMGEN_DEVICE int flatSteps() const { return (cls.taps * p.inChannels[source] + T::depth - 1) / T::depth; }

  /// Copies piece `piece` of each row from channel `channel` of tap `t`; zeros where `valid` is false.
  SEMGEN_DEVICE void copy(char *a, int t, int channel, bool valid) {
    const Lattice &l = p.lattice;
    int x = 0, y = 0, z = 0;
    if (valid) x = l.x[t], y = l.y[t], z = l.z[t];
    const Element *in = static_cast<const Element *>(p.in[source]);
    int64_t shifted = shift(x, y, z);
#pragma unroll
    for (int i = 0; i < rowsEach; ++i) {
      bool in_ = valid && inside(i, x, y, z);
      const Element *from = in_ ? in + (base[i] + shifted) * p.inChannels[source] + channel : in;
      cp_async_16(a + pieceAt(row + i * 64, piece), from, in_);
    }
  }

  /// Of a convolution of one tap whose input is a conv unit's z: makes y of what this thread copied for a step.
  SEMGEN_DEVICE void normalise(char *a, int step) const {
    int source = step >= p.chunks[0];
    const float2 *affine = p.affine[source];
    if (!affine) return;
    int channelPiece = ((step - (source ? p.chunks[0] : 0)) * T::depth + piece * T::piece) / 8;
    const Lattice &l = p.lattice;
    int t = cls.firstTap;
#pragma unroll
    for (int i = 0; i < rowsEach; ++i) {
      if (!inside(i, l.x[t], l.y[t], l.z[t])) continue;
      uint4 *words = reinterpret_cast<uint4 *>(a + pieceAt(row + i * 64, piece));
      *words = normalisedPiece(*words, affine, channelPiece);
    }
  }

  /// The same piece, element by element: neighbours in it may belong to other taps.
  SEMGEN_DEVICE void gather(char *a, int first) {
    const Lattice &l = p.lattice;
    const Element *in = static_cast<const Element *>(p.in[source]);
    int channels = p.inChannels[source], all = cls.taps * channels;
#pragma unroll
    for (int i = 0; i < rowsEach; ++i) {
      uint4 words;
      uint32_t *word = &words.x;
#pragma unroll
      for (int e = 0; e < T::piece; ++e) {
        int k = first + e, local = k / channels, t = cls.firstTap + local;
        Element value = from_float<Element>(0.0f);
        if (k < all && inside(i, l.x[t], l.y[t], l.z[t]))
          value = in[(base[i] + shift(l.x[t], l.y[t], l.z[t])) * channels + k - local * channels];
        if constexpr (T::piece == 8)
          word[e / 2] = e % 2 ? word[e / 2] | uint32_t(bits_of(value)) << 16 : uint32_t(bits_of(value));
        else
          word[e] = __float_as_uint(value);
      }
      *reinterpret_cast<uint4 *>(a + pieceAt(row + i * 64, piece)) = words;
    }
  }

  SEMGEN_DEVICE void load(char *stage) {
    if constexpr (T::flat) {
      int first = chunk * T::depth + piece * T::piece, channels = p.inChannels[source];
      if (channels % T::piece == 0) {
        int local = first / channels;
        copy(stage, cls.firstTap + local, first - local * channels, local < cls.taps);
      } else {
        gather(stage, first);
      }
      if (++chunk == flatSteps()) chunk = 0, ++source;
    } else {
      int channel = chunk * T::depth + piece * T::piece;
      copy(stage, cls.firstTap + tap, channel, true);
      if (++chunk == p.chunks[source]) {
        chunk = 0;
        if (++source == 2 || p.chunks[source] == 0) source = 0, ++tap;
      }
    }
    char *b = stage + T::points * 64;
    const char *from = packed + int64_t(step++) * p.columnsPadded * 64;
    constexpr int pieces = T::columns * 4;
#pragma unroll
    for (int i = 0; i < (pieces + T::threads - 1) / T::threads; ++i) {
      int at = i * T::threads + threadIdx.x;
      if (pieces % T::threads == 0 || at < pieces) cp_async_16(b + pieceAt(at >> 2, at & 3), from + at * 16);
    }
  }
};

/// float32 exactly: each thread 8 x (columns / 16) outputs, rows 16 apart and columns 16 apart.
template <class T>
SEMGEN_DEVICE void multiplyExactly(float (&d)[8][T::columns / 16], const char *a, const char *b) {
  constexpr int N = T::columns / 16;
  int ty = threadIdx.x >> 4, tx = threadIdx.x & 15;
#pragma unroll 1
  for (int piece = 0; piece < 4; ++piece) {
    float4 right[N];
#pragma unroll
    for (int j = 0; j < N; ++j) right[j] = *reinterpret_cast<const float4 *>(b + pieceAt(tx + 16 * j, piece));
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float4 left = *reinterpret_cast<const float4 *>(a + pieceAt(ty + 16 * i, piece));
#pragma unroll
      for (int j = 0; j < N; ++j) {
        d[i][j] = __fmaf_rn(left.x, right[j].x, d[i][j]);
        d[i][j] = __fmaf_rn(left.y, right[j].y, d[i][j]);
        d[i][j] = __fmaf_rn(left.z, right[j].z, d[i][j]);
        d[i][j] = __fmaf_rn(left.w, right[j].w, d[i][j]);
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(T::threads, 2) convolveKernel(const __grid_constant__ Params p) {
  SHARED_MEMORY(char, shared);
  const Lattice &l = p.lattice;
  // Neighbouring blocks share voxels: first the channels, then the classes, of one run of points.
  int64_t block = blockIdx.x;
  int columnTile = int(block % p.columnTiles);
  block /= p.columnTiles;
  int classIndex = int(block % l.classes);
  int64_t firstPoint = block / l.classes * T::points;
  const PointClass &cls = l.cls[classIndex];
  if (firstPoint >= int64_t(l.images) * cls.points.x * cls.points.y * cls.points.z) {
    if (p.epilogue.statistics.counts && columnTile == 0 && threadIdx.x == 0)
      p.epilogue.statistics.counts[blockIdx.x / p.columnTiles] = 0;
    return;
  }

  int firstChunk = 0, steps = 0;
  for (int c = 0; c <= classIndex; ++c) {
    firstChunk += steps;
    steps = T::flat ? (l.cls[c].taps * p.inChannels[0] + T::depth - 1) / T::depth +
                          (l.cls[c].taps * p.inChannels[1] + T::depth - 1) / T::depth
                    : l.cls[c].taps * (p.chunks[0] + p.chunks[1]);
  }
  Loader<T> loader(p, cls, firstChunk, firstPoint, columnTile * T::columns);
  EpilogueRows<T::points> rows(shared + T::stages * T::stageBytes);
  rows.fill(l, cls, firstPoint);

#pragma unroll
  for (int s = 0; s < T::stages - 1; ++s) {
    if (s < steps) loader.load(shared + s * T::stageBytes);
    cp_async_commit();
  }
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  int aRow = warp / T::warpColumns * T::MT * 16, bRow = warp % T::warpColumns * T::NT * 16;
  auto run = [&](auto &&product) {
    for (int step = 0; step < steps; ++step) {
      cp_async_wait<T::stages - 2>();
      if constexpr (T::pointwise) loader.normalise(shared + step % T::stages * T::stageBytes, step);
      __syncthreads();
      int next = step + T::stages - 1;
      if (next < steps) loader.load(shared + next % T::stages * T::stageBytes);
      cp_async_commit();
      const char *stage = shared + step % T::stages * T::stageBytes;
      product(stage, stage + T::points * 64);
    }
    cp_async_wait<0>();
    __syncthreads();
  };
  if constexpr (T::arithmetic == Arithmetic::fp32) {
    float d[8][T::columns / 16] = {};
    run([&](const char *a, const char *b) { multiplyExactly<T>(d, a, b); });
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < T::columns / 16; ++j) {
        int row = (threadIdx.x >> 4) + 16 * i;
        p.epilogue.template store<float>(rows.voxel[row], rows.kind[row],
                                         columnTile * T::columns + 16 * j + (threadIdx.x & 15), d[i][j]);
      }
  } else {
    float d[T::MT][2 * T::NT][4] = {};
    run([&](const char *a, const char *b) { multiplyTiles<T::arithmetic, T::MT, T::NT>(d, a, aRow, b, bRow, lane); });
    storeTiles<typename T::Element, T::MT, T::NT>(p.epilogue, rows, d, aRow, columnTile * T::columns + bRow, lane);
    if (p.epilogue.statistics.moments)
      tileStatistics<T::MT, T::NT, T::warpRows, T::warpColumns>(p.epilogue, rows, d, reinterpret_cast<float *>(shared),
                                                                blockIdx.x / p.columnTiles, columnTile * T::columns);
  }
}

template <class T>
void start(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  Params p{};
  p.lattice = s.lattice;
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
  launch(stream, convolveKernel<T>, Grid{unsigned(blocks), 1, 1}, Block{T::threads}, T::sharedBytes, p);
}

template <Arithmetic arithmetic, bool flat>
void choose(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  if constexpr (arithmetic == Arithmetic::fp32) {
    if (s.choice.columns == 16) return start<Tile<arithmetic, 16, flat>>(stream, s, pointers);
    return start<Tile<arithmetic, 64, flat>>(stream, s, pointers);
  } else {
    if (s.choice.columns == 16) return start<Tile<arithmetic, 16, flat>>(stream, s, pointers);
    if (s.choice.columns == 32) return start<Tile<arithmetic, 32, flat>>(stream, s, pointers);
    if constexpr (arithmetic == Arithmetic::bf16 && !flat)
      if (s.choice.columns == 128) return start<Tile<arithmetic, 128, flat>>(stream, s, pointers);
    return start<Tile<arithmetic, 64, flat>>(stream, s, pointers);
  }
}

template <Arithmetic arithmetic>
void choose(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  return s.flat ? choose<arithmetic, true>(stream, s, pointers) : choose<arithmetic, false>(stream, s, pointers);
}

}  // namespace

void convolve(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  if (s.choice.way == Way::bricks) return convolveWithHalo(stream, s, pointers);
  if (s.choice.way == Way::oneChannel) return convolveFirstLayerOf(stream, s, pointers);
  if (s.arithmetic == Arithmetic::bf16) return choose<Arithmetic::bf16>(stream, s, pointers);
  if (s.arithmetic == Arithmetic::tf32) return choose<Arithmetic::tf32>(stream, s, pointers);
  choose<Arithmetic::fp32>(stream, s, pointers);
}

}  // namespace semgen::cuda
