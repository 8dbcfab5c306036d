// Normalisation and its gradient, 16 bytes (8 bfloat16 or 4 float32 channels) a thread and row. A thread keeps to its
// channels, whose parameters it holds in registers, and walks down the rows; the threads of a block lie side by side in
// memory. Memory-bound: forward reads z and writes y; the sums read z and dy, or what dy is computed from; the gradient
// reads both and writes dz.
#include "cuda/device.cuh"
#include "cuda/norm/gradient_source.cuh"
#include "cuda/norm/unit_channels.cuh"
#include "cuda/norm/vectors.h"

namespace semgen::cuda {

namespace {

constexpr int threads = 256, rowsEach = 32, sumRowsEach = 64, mostBlocks = 512;

/// The rows of a thread: from `row` in steps of `step`, below `last`; `piece` is its place in a row.
struct Walk {
  int pieces, piece, step;
  int64_t row, last;

  SEMGEN_DEVICE Walk(int channels, int size, int64_t rows, int64_t rowsPerBlock) : pieces(channels / size) {
    piece = int(threadIdx.x) & (pieces - 1);
    step = threads / pieces;
    row = blockIdx.x * rowsPerBlock + int(threadIdx.x) / pieces;
    last = (blockIdx.x + 1) * rowsPerBlock;
    last = last < rows ? last : rows;
  }
};

template <class Element>
__global__ void __launch_bounds__(threads)
    normaliseKernel(const void *z, void *y, NormChannels norm, int channels, int64_t rows, int64_t rowsPerBlock) {
  using P = Piece<Element>;
  Walk walk(channels, P::size, rows, rowsPerBlock);
  UnitChannels<P::size> mine(norm, walk.piece * P::size);
#pragma unroll 4
  for (int64_t row = walk.row; row < walk.last; row += walk.step) {
    P piece;
    piece.load(z, row * walk.pieces + walk.piece);
#pragma unroll
    for (int i = 0; i < P::size; ++i) piece.value[i] = relu(beforeRelu(mine.affine[i], piece.value[i]));
    piece.store(y, row * walk.pieces + walk.piece);
  }
}

template <class Element, class Source>
__global__ void __launch_bounds__(threads)
    gradientSumsKernel(const void *z, const __grid_constant__ GradientSource source, NormChannels norm, float2 *partial,
                       int channels, int64_t rows, int64_t rowsPerBlock) {
  using P = Piece<Element>;
  __shared__ float shared[2][P::size * (threads + 32)];
  Walk walk(channels, P::size, rows, rowsPerBlock);
  UnitChannels<P::size> mine(norm, walk.piece * P::size);
  Source dy(source, walk.pieces, walk.piece);
  float plain[P::size] = {}, weighted[P::size] = {};
#pragma unroll 2
  for (int64_t row = walk.row; row < walk.last; row += walk.step) {
    P of, from = dy.at(row);
    of.load(z, row * walk.pieces + walk.piece);
#pragma unroll
    for (int i = 0; i < P::size; ++i) {
      float g = mine.kept(i, of.value[i], from.value[i]);
      plain[i] += g;
      weighted[i] += g * mine.normalised(i, of.value[i]);
    }
  }
  // A row of threads for each channel of a piece, padded so that neighbouring channels never share a bank.
  int pitch = threads + (walk.pieces < 32 ? walk.pieces : 0);
#pragma unroll
  for (int i = 0; i < P::size; ++i) {
    shared[0][i * pitch + threadIdx.x] = plain[i];
    shared[1][i * pitch + threadIdx.x] = weighted[i];
  }
  __syncthreads();
  for (int channel = threadIdx.x; channel < channels; channel += threads) {
    int i = channel / walk.pieces, piece = channel % walk.pieces;  // neighbouring threads at neighbouring words
    float sum = 0, other = 0;
    for (int at = piece; at < threads; at += walk.pieces) {
      sum += shared[0][i * pitch + at];
      other += shared[1][i * pitch + at];
    }
    partial[int64_t(blockIdx.x) * channels + piece * P::size + i] = make_float2(sum, other);
  }
}

template <class Element, class Source>
__global__ void __launch_bounds__(threads) gradientKernel(const void *z, const __grid_constant__ GradientSource source,
                                                          const __grid_constant__ NormGradient gradient, void *dz,
                                                          int channels, int64_t rows, int64_t rowsPerBlock) {
  using P = Piece<Element>;
  Walk walk(channels, P::size, rows, rowsPerBlock);
  UnitGradient<P::size> mine(gradient, walk.piece * P::size);
  Source dy(source, walk.pieces, walk.piece);
#pragma unroll 2
  for (int64_t row = walk.row; row < walk.last; row += walk.step) {
    P of, from = dy.at(row);
    of.load(z, row * walk.pieces + walk.piece);
#pragma unroll
    for (int i = 0; i < P::size; ++i) from.value[i] = mine.dz(i, of.value[i], from.value[i]);
    from.store(dz, row * walk.pieces + walk.piece);
  }
}

/// Rows of a block whose threads take `each` rows apiece.
int64_t rowsPerBlock(const NormVectors &v, int each) {
  int pieces = v.channels * int(sizeOf(v.type)) / 16;
  return int64_t(threads / pieces) * each;
}

/// body.operator()<T>() with the element type.
template <class Body>
void withElement(DType type, Body &&body) {
  type == DType::bf16 ? body.template operator()<bf16>() : body.template operator()<float>();
}

/// As withElement, with what reads the gradient beside it.
template <class Body>
void withSource(DType type, GradientSource::Kind kind, Body &&body) {
  if (type == DType::f32) return body.template operator()<float, WrittenGradient<float>>();
  if (kind == GradientSource::Kind::pooled) return body.template operator()<bf16, PooledGradient>();
  if (kind == GradientSource::Kind::product) return body.template operator()<bf16, ProductGradient>();
  body.template operator()<bf16, WrittenGradient<bf16>>();
}

}  // namespace

bool NormVectors::fit(DType type, int channels) {
  int size = 16 / int(sizeOf(type)), pieces = channels / size;
  return type != DType::i32 && channels % size == 0 && pieces <= threads && (pieces & (pieces - 1)) == 0;
}

int NormVectors::blocks() const {
  int64_t each = rowsPerBlock(*this, sumRowsEach), wanted = (rows + each - 1) / each;
  return int(wanted < mostBlocks ? wanted : mostBlocks);
}

void NormVectors::normalise(cudaStream_t stream, const void *z, void *y, const NormChannels &norm) const {
  int64_t each = rowsPerBlock(*this, rowsEach);
  withElement(type, [&]<class T>() {
    launch(stream, normaliseKernel<T>, Grid{unsigned((rows + each - 1) / each)}, Block{threads}, 0, z, y, norm,
           channels, rows, each);
  });
}

void NormVectors::gradientSums(cudaStream_t stream, const void *z, const GradientSource &dy, const NormChannels &norm,
                               float2 *partial) const {
  int64_t count = blocks(), each = (rows + count - 1) / count;
  withSource(type, dy.kind, [&]<class T, class Source>() {
    launch(stream, gradientSumsKernel<T, Source>, Grid{unsigned(count)}, Block{threads}, 0, z, dy, norm, partial,
           channels, rows, each);
  });
}

void NormVectors::gradient(cudaStream_t stream, const void *z, const GradientSource &dy, const NormGradient &gradient,
                           void *dz) const {
  int64_t each = rowsPerBlock(*this, rowsEach);
  withSource(type, dy.kind, [&]<class T, class Source>() {
    launch(stream, gradientKernel<T, Source>, Grid{unsigned((rows + each - 1) / each)}, Block{threads}, 0, z, dy,
           gradient, dz, channels, rows, each);
  });
}

}  // namespace semgen::cuda
