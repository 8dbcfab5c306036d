// Weights from the official order to what the convolution reads: [step of depth][channel written][64 bytes], rounded to
// the arithmetic's element, channels in the order that gives each lane of a tensor core four neighbours (tile.cuh).
// Memory-bound and small: reads 4 and writes 2 or 4 bytes a weight.
#include "cuda/conv3d/convolve.h"
#include "cuda/conv3d/tile.cuh"
#include "cuda/launch.h"

namespace semgen::cuda {

namespace {

struct PackParams {
  Lattice lattice;
  WeightsView view;
  const float *weights;
  void *packed;
  int rows, columnsPadded, inChannels[2], chunks[2], steps;
};

template <Arithmetic arithmetic>
SEMGEN_DEVICE int channelOf(int row) {
  return arithmetic == Arithmetic::fp32 ? row : packedChannel(row);
}

template <Arithmetic arithmetic>
SEMGEN_DEVICE void put(const PackParams &p, int step, int column, int k, float value) {
  using N = Numbers<arithmetic>;
  auto *packed = static_cast<typename N::Element *>(p.packed);
  if (arithmetic == Arithmetic::tf32) value = __uint_as_float(to_tf32(value));
  packed[(int64_t(step) * p.columnsPadded + column) * N::depth + k] = from_float<typename N::Element>(value);
}

/// Number `m` of the columns that a block packs, so that those of neighbouring channels follow each other in memory.
template <Arithmetic arithmetic>
SEMGEN_DEVICE int columnOf(int m, int columns) {
  return arithmetic == Arithmetic::fp32 || columns < 16 ? m : (m >> 1 & 1) << 3 | m >> 2 << 1 | (m & 1);
}

/// A block a step of depth and `columns` channels written, over all taps, which lie side by side in the official order
/// and far apart in the packed one: a tile [column][depth][tap] in shared memory turns them. Reads and writes are runs.
template <Arithmetic arithmetic>
__global__ void __launch_bounds__(256) packByTap(const __grid_constant__ PackParams p, int columns) {
  using N = Numbers<arithmetic>;
  SHARED_MEMORY(float, tile);
  int taps = p.lattice.taps, pitch = taps | 1, count = columns * N::depth * taps;
  int chunk = blockIdx.x, first = blockIdx.y * columns, perTap = p.chunks[0] + p.chunks[1];
  int source = chunk >= p.chunks[0], firstChannel = (chunk - (source ? p.chunks[0] : 0)) * N::depth;
  const float *from = p.weights + (source ? p.inChannels[0] : 0) * p.view.depthStride;
  bool rowsOutermost = p.view.rowStride >= p.view.depthStride;
  for (int i = threadIdx.x; i < count; i += 256) {
    int pair = i / taps, tap = i - pair * taps;
    int column = columnOf<arithmetic>(rowsOutermost ? pair / N::depth : pair % columns, columns);
    int k = rowsOutermost ? pair % N::depth : pair / columns;
    int row = channelOf<arithmetic>(first + column), channel = firstChannel + k;
    bool real = row < p.rows && channel < p.inChannels[source];
    tile[(column * N::depth + k) * pitch + tap] =
        real ? from[row * p.view.rowStride + channel * p.view.depthStride + p.lattice.tap[tap] * p.view.tapStride]
             : 0.0f;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += 256) {
    int pair = i % (columns * N::depth), tap = i / (columns * N::depth);
    put<arithmetic>(p, tap * perTap + chunk, first + pair / N::depth, pair % N::depth, tile[pair * pitch + tap]);
  }
}

/// A thread an element, where depth runs over taps x channels.
template <Arithmetic arithmetic>
__global__ void __launch_bounds__(256) packFlat(const __grid_constant__ PackParams p) {
  using N = Numbers<arithmetic>;
  int64_t index = int64_t(blockIdx.x) * 256 + threadIdx.x;
  int k = int(index % N::depth), column = int(index / N::depth % p.columnsPadded);
  int64_t step = index / N::depth / p.columnsPadded;
  if (step >= p.steps) return;
  int first = 0, row = channelOf<arithmetic>(column);
  for (int c = 0; c < p.lattice.classes; ++c)
    for (int source = 0; source < 2; ++source) {
      int channels = p.inChannels[source], all = p.lattice.cls[c].taps * channels;
      int here = (all + N::depth - 1) / N::depth;
      int at = int(step - first) * N::depth + k;
      if (step >= first && step < first + here) {
        float value = 0;
        if (at < all && row < p.rows)
          value =
              p.weights[row * p.view.rowStride + (at % channels + (source ? p.inChannels[0] : 0)) * p.view.depthStride +
                        p.lattice.tap[p.lattice.cls[c].firstTap + at / channels] * p.view.tapStride];
        put<arithmetic>(p, int(step), column, k, value);
      }
      first += here;
    }
}

/// Shared memory for a tile: so much that several blocks find room on every card.
constexpr int tileBytes = 72 * 1024;

template <Arithmetic arithmetic>
void pack(cudaStream_t stream, const ConvolveShape &s, const PackParams &p) {
  constexpr int depth = Numbers<arithmetic>::depth;
  if (s.flat) {
    int64_t elements = int64_t(s.columnsPadded) * depth * s.steps;
    return launch(stream, packFlat<arithmetic>, Grid{unsigned((elements + 255) / 256), 1, 1}, Block{256}, 0, p);
  }
  int bytesOfColumn = depth * (s.lattice.taps | 1) * 4, columns = 16;
  while (columns > 1 && columns * bytesOfColumn > tileBytes) columns /= 2;
  Grid grid{unsigned(s.chunks[0] + s.chunks[1]), unsigned(s.columnsPadded / columns), 1};
  launch(stream, packByTap<arithmetic>, grid, Block{256}, columns * bytesOfColumn, p, columns);
}

}  // namespace

void packWeights(cudaStream_t stream, const ConvolveShape &s, const ConvolvePointers &pointers) {
  if (s.steps == 0) return;
  PackParams p{s.lattice,
               s.weights,
               pointers.weights,
               pointers.packed,
               s.outChannels[0] + s.outChannels[1],
               s.columnsPadded,
               {s.inChannels[0], s.inChannels[1]},
               {s.chunks[0], s.chunks[1]},
               s.steps};
  if (s.arithmetic == Arithmetic::bf16) return pack<Arithmetic::bf16>(stream, s, p);
  if (s.arithmetic == Arithmetic::tf32) return pack<Arithmetic::tf32>(stream, s, p);
  pack<Arithmetic::fp32>(stream, s, p);
}

}  // namespace semgen::cuda
