// Weight gradients, any kernel, stride and channel counts, as an implicit matrix product over points:
// partial[split][tap x channel][row] = sum over the split's points of gathered * plain, then the splits' sum in order.
//
// Layout   both factors lie channels innermost, so depth (points) is the slow axis of both tiles: ldmatrix.trans.
// Tiling   a block of 256 threads computes 128 of taps x channels by 32-128 rows over one split's points, 32 (float32:
//          16) points a step, three stages of cp.async. Rows in shared memory are swizzled (bfloat16) or padded
//          (float32): no bank conflicts in the main loop.
// Cost     2 * points * taps * channels * rows operations; each block reads 128 + columns channels a point, from L2.
//          Shared memory 3 * (128 + columns) * 64 bytes (float32: 6 % more) + 4 KB.
#include "cuda/conv3d/tile.cuh"
#include "cuda/conv3d/walk.cuh"
#include "cuda/conv3d/weight_gradient.h"
#include "cuda/launch.h"
#include "cuda/norm/affine.cuh"

namespace semgen::cuda {

namespace {

template <Arithmetic arithmetic_, int columns_, bool aligned_>
struct Tile : Numbers<arithmetic_> {
  static constexpr Arithmetic arithmetic = arithmetic_;
  static constexpr bool aligned = aligned_;
  static constexpr int rows = 128, columns = columns_, threads = 256, stages = 3;
  static constexpr int points = Numbers<arithmetic_>::depth;  // a step's
  static constexpr int warpColumns = columns >= 128 ? 4 : columns >= 64 ? 2 : 1, warpRows = 8 / warpColumns;
  static constexpr int MT = rows / warpRows / 16, NT = columns / warpColumns / 16;
  // May be of a last layer of one tap: see WeightGradientShape::computesUnits.
  static constexpr bool pointwise = arithmetic == Arithmetic::bf16 && aligned && columns == 32;
  // Bytes of one point's row. 32 bytes of padding put rows of float32 8 banks apart.
  static constexpr int elementBytes = 16 / Numbers<arithmetic_>::piece, padding = elementBytes == 2 ? 0 : 32;
  static constexpr int rowPitch = rows * elementBytes + padding, columnPitch = columns * elementBytes + padding;
  static constexpr int stageBytes = points * (rowPitch + columnPitch);
  static constexpr int sharedBytes = stages * stageBytes + rows * 16;
  static constexpr int rowPieces = rows / Numbers<arithmetic_>::piece;

  /// The combination at a place in the block's table: those that threads ask for together lie side by side.
  SEMGEN_DEVICE static int fromTable(int place) {
    return place % rowPieces * Numbers<arithmetic_>::piece + place / rowPieces;
  }

  /// Where a piece of a point's row of `pitch` bytes lies.
  template <int pitch>
  SEMGEN_DEVICE static int at(int point, int piece) {
    if constexpr (elementBytes == 4)
      return point * pitch + piece * 16;
    else if constexpr (pitch == 64)
      return pieceAt(point, piece);
    else
      return point * pitch + ((piece ^ (point & 7)) << 4);
  }
};

struct Params {
  Lattice lattice;
  const void *gathered[2], *plain;
  const float2 *affine;  // of the one gathered input, where it is a conv unit's z and there is one tap
  int channels[2], plainChannels, rowTiles, columnTiles;
  bool plainAligned;
  int64_t flat, points, pointsPerSplit;
  Walk stride;  // a step's points
  float *partial;
};

/// One of a block's 128 combinations of tap and channel. In shared memory as one word of 16 bytes.
struct FlatRow {
  const void *from;  // of the voxel under the tap seen from voxel 0, at the channel
  int channels;      // elements from voxel to voxel; 0 where the tile reaches over the last combination
  int x, y, z;

  SEMGEN_DEVICE uint4 word() const {
    uint64_t address = reinterpret_cast<uint64_t>(from);
    return make_uint4(uint32_t(address), uint32_t(address >> 32), uint32_t(channels),
                      uint32_t(uint8_t(x)) | uint32_t(uint8_t(y)) << 8 | uint32_t(uint8_t(z)) << 16);
  }
  SEMGEN_DEVICE static FlatRow of(uint4 word) {
    return {reinterpret_cast<const void *>(uint64_t(word.x) | uint64_t(word.y) << 32), int(word.z), int8_t(word.w),
            int8_t(word.w >> 8), int8_t(word.w >> 16)};
  }
};

template <class T>
SEMGEN_DEVICE uint4 packed(const typename T::Element (&values)[T::piece]) {
  uint32_t word[4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if constexpr (T::piece == 8)
      word[i] = uint32_t(bits_of(values[2 * i])) | uint32_t(bits_of(values[2 * i + 1])) << 16;
    else
      word[i] = __float_as_uint(values[i]);
  return make_uint4(word[0], word[1], word[2], word[3]);
}

/// Loads stages. A thread keeps to one row of points; pieces of `width` elements are spread over `lanes` threads.
template <class T>
struct Loader {
  using Element = typename T::Element;
  static constexpr int lanes = T::threads / T::points, columnPieces = T::columns / T::piece;
  const Params &p;
  const uint4 *rows;
  Walk walk;
  int64_t point, last;
  int lane, row, firstColumn;

  SEMGEN_DEVICE Loader(const Params &p, const uint4 *rows, int64_t first, int64_t last, int firstColumn)
      : p(p),
        rows(rows),
        point(first + threadIdx.x / lanes),
        last(last),
        lane(threadIdx.x % lanes),
        row(threadIdx.x / lanes),
        firstColumn(firstColumn) {
    walk.start(p.lattice.out, point);
  }

  SEMGEN_DEVICE bool inside(const FlatRow &r, int x, int y, int z) const {
    const Int3 &in = p.lattice.in;
    return r.channels > 0 && unsigned(x + r.x) < unsigned(in.x) && unsigned(y + r.y) < unsigned(in.y) &&
           unsigned(z + r.z) < unsigned(in.z);
  }

  SEMGEN_DEVICE void load(char *stage) {
    const Lattice &l = p.lattice;
    bool real = point < last;
    int x = walk.x * l.inStep.x, y = walk.y * l.inStep.y, z = walk.z * l.inStep.z;
    int64_t voxel = ((int64_t(walk.image) * l.in.x + x) * l.in.y + y) * l.in.z + z;
#pragma unroll
    for (int i = 0; i < T::rowPieces / lanes; ++i) {
      int piece = lane + i * lanes;
      char *to = stage + T::template at<T::rowPitch>(row, piece);
      if constexpr (T::aligned) {
        const FlatRow r = FlatRow::of(rows[piece]);
        bool in = real && inside(r, x, y, z);
        cp_async_16(to, in ? static_cast<const Element *>(r.from) + voxel * r.channels : p.gathered[0], in);
      } else {
        Element values[T::piece];
#pragma unroll
        for (int e = 0; e < T::piece; ++e) {
          const FlatRow r = FlatRow::of(rows[e * T::rowPieces + piece]);
          values[e] = from_float<Element>(0.0f);
          if (real && inside(r, x, y, z)) values[e] = static_cast<const Element *>(r.from)[voxel * r.channels];
        }
        *reinterpret_cast<uint4 *>(to) = packed<T>(values);
      }
    }
    const Element *plain = static_cast<const Element *>(p.plain) + point * p.plainChannels + firstColumn;
    char *b = stage + T::points * T::rowPitch;
    constexpr int each = (columnPieces + lanes - 1) / lanes;
#pragma unroll
    for (int i = 0; i < each; ++i) {
      int piece = lane + i * lanes, left = p.plainChannels - firstColumn - piece * T::piece;
      if (columnPieces % lanes != 0 && piece >= columnPieces) break;
      char *to = b + T::template at<T::columnPitch>(row, piece);
      if (p.plainAligned) {
        bool in = real && left > 0;
        cp_async_16(to, in ? plain + piece * T::piece : p.plain, in);
      } else {
        Element values[T::piece];
#pragma unroll
        for (int e = 0; e < T::piece; ++e)
          values[e] = real && e < left ? plain[piece * T::piece + e] : from_float<Element>(0.0f);
        *reinterpret_cast<uint4 *>(to) = packed<T>(values);
      }
    }
    walk.advance(l.out, p.stride);
    point += T::points;
  }

  /// Makes y of what this thread copied of z for the step that begins with point `first`.
  SEMGEN_DEVICE void normalise(char *stage, int64_t first, int firstChannel) const {
    if (!p.affine || first + row >= last) return;
#pragma unroll
    for (int i = 0; i < T::rowPieces / lanes; ++i) {
      int piece = lane + i * lanes, channel = firstChannel + piece * T::piece;
      if (channel >= p.channels[0]) break;
      uint4 *words = reinterpret_cast<uint4 *>(stage + T::template at<T::rowPitch>(row, piece));
      *words = normalisedPiece(*words, p.affine, channel / 8);
    }
  }
};

/// Fragments of one step on tensor cores; d[i][j][2 h + e] belongs to row 16 i + 8 h + lane / 4, column 8 j +
/// 2 (lane % 4) + e.
template <class T>
SEMGEN_DEVICE void multiplyStep(float (&d)[T::MT][2 * T::NT][4], const char *a, int aRow, const char *b, int bRow,
                                int lane) {
  if constexpr (T::arithmetic == Arithmetic::bf16) {
    int matrix = lane >> 3, r = lane & 7;
#pragma unroll 1
    for (int step = 0; step < 2; ++step) {
      uint32_t left[T::MT][4];
#pragma unroll
      for (int i = 0; i < T::MT; ++i)
        ldmatrix_x4_trans(left[i], a + T::template at<T::rowPitch>(step * 16 + (matrix >> 1) * 8 + r,
                                                                   (aRow + i * 16) / 8 + (matrix & 1)));
#pragma unroll
      for (int q = 0; q < T::NT; ++q) {
        uint32_t both[4];
        ldmatrix_x4_trans(both, b + T::template at<T::columnPitch>(step * 16 + (matrix & 1) * 8 + r,
                                                                   (bRow + q * 16) / 8 + (matrix >> 1)));
        const uint32_t first[2] = {both[0], both[1]}, second[2] = {both[2], both[3]};
#pragma unroll
        for (int i = 0; i < T::MT; ++i) {
          mma_bf16(d[i][2 * q], left[i], first);
          mma_bf16(d[i][2 * q + 1], left[i], second);
        }
      }
    }
  } else {
    int g = lane >> 2, t = lane & 3;
    auto value = [](const char *row, int pitch, int point, int column) {
      return to_tf32(*reinterpret_cast<const float *>(row + point * pitch + column * 4));
    };
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      int point = step * 8 + t;
      uint32_t left[T::MT][4];
#pragma unroll
      for (int i = 0; i < T::MT; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          left[i][e] = value(a, T::rowPitch, point + (e >> 1) * 4, aRow + i * 16 + (e & 1) * 8 + g);
#pragma unroll
      for (int j = 0; j < 2 * T::NT; ++j) {
        const uint32_t right[2] = {value(b, T::columnPitch, point, bRow + j * 8 + g),
                                   value(b, T::columnPitch, point + 4, bRow + j * 8 + g)};
#pragma unroll
        for (int i = 0; i < T::MT; ++i) mma_tf32(d[i][j], left[i], right);
      }
    }
  }
}

/// float32 exactly: each thread 8 neighbouring rows by columns / 16, 16 apart.
template <class T>
SEMGEN_DEVICE void multiplyExactly(float (&d)[8][T::columns / 16], const char *a, const char *b) {
  constexpr int N = T::columns / 16;
  int ty = threadIdx.x >> 4, tx = threadIdx.x & 15;
#pragma unroll 4
  for (int point = 0; point < T::points; ++point) {
    const float4 *row = reinterpret_cast<const float4 *>(a + point * T::rowPitch) + ty * 2;
    float4 low = row[0], high = row[1];
    const float left[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    const float *column = reinterpret_cast<const float *>(b + point * T::columnPitch) + tx;
#pragma unroll
    for (int j = 0; j < N; ++j)
#pragma unroll
      for (int i = 0; i < 8; ++i) d[i][j] = __fmaf_rn(left[i], column[16 * j], d[i][j]);
  }
}

template <class T>
__global__ void __launch_bounds__(T::threads, 2) weightGradientKernel(const __grid_constant__ Params p) {
  SHARED_MEMORY(char, shared);
  const Lattice &l = p.lattice;
  uint4 *rows = reinterpret_cast<uint4 *>(shared + T::stages * T::stageBytes);
  int columnTile = int(blockIdx.x) % p.columnTiles, rowTile = int(blockIdx.x) / p.columnTiles;
  int64_t firstRow = int64_t(rowTile) * T::rows, split = blockIdx.y;
  if (threadIdx.x < T::rows) {
    using Element = typename T::Element;
    int64_t at = firstRow + T::fromTable(threadIdx.x), before = int64_t(l.taps) * p.channels[0];
    FlatRow r{p.gathered[0], 0, 0, 0, 0};
    if (at < p.flat) {
      int source = at >= before;
      int rest = int(at - (source ? before : 0));
      r.channels = p.channels[source];
      int tap = rest / r.channels;
      r.x = l.x[tap], r.y = l.y[tap], r.z = l.z[tap];
      int64_t shift = (int64_t(r.x) * l.in.y + r.y) * l.in.z + r.z;
      r.from = static_cast<const Element *>(p.gathered[source]) + shift * r.channels + (rest - tap * r.channels);
    }
    rows[threadIdx.x] = r.word();
  }
  __syncthreads();

  int64_t first = split * p.pointsPerSplit, last = first + p.pointsPerSplit;
  last = last < p.points ? last : p.points;
  int steps = int((last - first + T::points - 1) / T::points);
  Loader<T> loader(p, rows, first, last, columnTile * T::columns);
#pragma unroll
  for (int s = 0; s < T::stages - 1; ++s) {
    if (s < steps) loader.load(shared + s * T::stageBytes);
    cp_async_commit();
  }
  auto run = [&](auto &&product) {
    for (int step = 0; step < steps; ++step) {
      cp_async_wait<T::stages - 2>();
      if constexpr (T::pointwise)
        loader.normalise(shared + step % T::stages * T::stageBytes, first + int64_t(step) * T::points, int(firstRow));
      __syncthreads();
      int next = step + T::stages - 1;
      if (next < steps) loader.load(shared + next % T::stages * T::stageBytes);
      cp_async_commit();
      const char *stage = shared + step % T::stages * T::stageBytes;
      product(stage, stage + T::points * T::rowPitch);
    }
  };
  float *partial = p.partial + split * p.flat * p.plainChannels;
  auto put = [&](int64_t row, int column, float value) {
    if (row < p.flat && column < p.plainChannels) partial[row * p.plainChannels + column] = value;
  };
  if constexpr (T::arithmetic == Arithmetic::fp32) {
    float d[8][T::columns / 16] = {};
    run([&](const char *a, const char *b) { multiplyExactly<T>(d, a, b); });
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < T::columns / 16; ++j)
        put(firstRow + (threadIdx.x >> 4) * 8 + i, columnTile * T::columns + 16 * j + int(threadIdx.x & 15), d[i][j]);
  } else {
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    int aRow = warp / T::warpColumns * T::MT * 16, bRow = warp % T::warpColumns * T::NT * 16;
    float d[T::MT][2 * T::NT][4] = {};
    run([&](const char *a, const char *b) { multiplyStep<T>(d, a, aRow, b, bRow, lane); });
#pragma unroll
    for (int i = 0; i < T::MT; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int j = 0; j < 2 * T::NT; ++j) {
          int64_t row = firstRow + aRow + i * 16 + h * 8 + lane / 4;
          int column = columnTile * T::columns + bRow + j * 8 + lane % 4 * 2;
          if (p.plainChannels % 2 == 0) {
            if (row < p.flat && column < p.plainChannels)
              *reinterpret_cast<float2 *>(partial + row * p.plainChannels + column) =
                  make_float2(d[i][j][2 * h], d[i][j][2 * h + 1]);
          } else {
            put(row, column, d[i][j][2 * h]);
            put(row, column + 1, d[i][j][2 * h + 1]);
          }
        }
  }
}

template <class T>
void start(cudaStream_t stream, const WeightGradientShape &s, const WeightGradientPointers &pointers) {
  Params p{};
  p.lattice = s.lattice;
  for (int i = 0; i < 2; ++i) {
    p.gathered[i] = pointers.gathered[i];
    p.channels[i] = s.gathered[i];
  }
  p.affine = pointers.affine[0];
  p.plain = pointers.plain;
  p.plainChannels = s.plain;
  p.plainAligned = s.plain % T::piece == 0;
  p.rowTiles = int((s.flat + T::rows - 1) / T::rows);
  p.columnTiles = (s.plain + T::columns - 1) / T::columns;
  p.flat = s.flat;
  p.points = int64_t(s.lattice.images) * s.lattice.out.x * s.lattice.out.y * s.lattice.out.z;
  p.pointsPerSplit = s.pointsPerSplit;
  p.stride.start(s.lattice.out, T::points);
  p.partial = pointers.partial;
  launch(stream, weightGradientKernel<T>, Grid{unsigned(p.rowTiles * p.columnTiles), unsigned(s.splits), 1},
         Block{T::threads}, T::sharedBytes, p);
}

template <Arithmetic arithmetic, bool aligned>
void choose(cudaStream_t stream, const WeightGradientShape &s, const WeightGradientPointers &pointers) {
  if constexpr (arithmetic == Arithmetic::bf16 && aligned)
    if (s.choice.columns == 128) return start<Tile<arithmetic, 128, aligned>>(stream, s, pointers);
  if (s.choice.columns == 64) return start<Tile<arithmetic, 64, aligned>>(stream, s, pointers);
  start<Tile<arithmetic, 32, aligned>>(stream, s, pointers);
}

template <Arithmetic arithmetic>
void choose(cudaStream_t stream, const WeightGradientShape &s, const WeightGradientPointers &pointers) {
  s.aligned ? choose<arithmetic, true>(stream, s, pointers) : choose<arithmetic, false>(stream, s, pointers);
}

}  // namespace

void weightGradient(cudaStream_t stream, const WeightGradientShape &s, const WeightGradientPointers &pointers) {
  if (s.choice.way == Way::bricks)
    weightGradientWithHalo(stream, s, pointers);
  else if (s.choice.way == Way::oneChannel)
    weightGradientOfFirstLayer(stream, s, pointers);
  else if (s.arithmetic == Arithmetic::bf16)
    choose<Arithmetic::bf16>(stream, s, pointers);
  else if (s.arithmetic == Arithmetic::tf32)
    choose<Arithmetic::tf32>(stream, s, pointers);
  else
    choose<Arithmetic::fp32>(stream, s, pointers);
  if (!s.writesGradient()) sumSplits(stream, s, pointers);
}

}  // namespace semgen::cuda
