// Weights from the official order to what the convolution reads: [step of depth][channel written][64 bytes], rounded to
// the arithmetic's element, channels in the order that gives each lane of a tensor core four neighbours (tile.cuh).
// Memory-bound and small: reads 4 and writes 2 or 4 bytes a weight. A thread walks the taps of its weight, which lie
// side by side, so that the sectors it shares with itself come from L1.
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

/// A thread a channel written and a channel read, over all taps.
template <Arithmetic arithmetic>
__global__ void __launch_bounds__(256) packByTap(const __grid_constant__ PackParams p) {
  using N = Numbers<arithmetic>;
  int perTap = p.chunks[0] + p.chunks[1];
  int64_t index = int64_t(blockIdx.x) * 256 + threadIdx.x;
  int k = int(index % N::depth), column = int(index / N::depth % p.columnsPadded);
  int64_t chunk = index / N::depth / p.columnsPadded;
  if (chunk >= perTap) return;
  int source = chunk >= p.chunks[0];
  int channel = int(chunk - (source ? p.chunks[0] : 0)) * N::depth + k, row = channelOf<arithmetic>(column);
  bool real = row < p.rows && channel < p.inChannels[source];
  const float *from =
      p.weights + row * p.view.rowStride + (channel + (source ? p.inChannels[0] : 0)) * p.view.depthStride;
  for (int tap = 0; tap < p.lattice.taps; ++tap)
    put<arithmetic>(p, tap * perTap + int(chunk), column, k, real ? from[p.lattice.tap[tap] * p.view.tapStride] : 0.0f);
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

template <Arithmetic arithmetic>
void pack(cudaStream_t stream, const ConvolveShape &s, const PackParams &p) {
  int64_t elements =
      int64_t(s.columnsPadded) * Numbers<arithmetic>::depth * (s.flat ? s.steps : s.chunks[0] + s.chunks[1]);
  Grid grid{unsigned((elements + 255) / 256), 1, 1};
  launch(stream, s.flat ? packFlat<arithmetic> : packByTap<arithmetic>, grid, Block{256}, 0, p);
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
