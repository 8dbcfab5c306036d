// The gradient of batch normalisation + ReLU (norm.cu), z and dy [N, X, Y, Z, C]:
//   g = dy where y > 0;  dbeta = sum g;  dgamma = sum g * (z - mean) * rstd
//   dz = gamma * rstd * (g - dbeta / n - (z - mean) * rstd * dgamma / n)    (running statistics: gamma * rstd * g)
// Whether y > 0 is computed again from z: no mask is kept. Memory-bound: reads z and dy, or what an unwritten dy is
// computed from, twice, once where the convolution that wrote dy took the sums; and writes dz, unless what reads it
// computes it.
#include "cuda/conv3d/pieces.h"
#include "cuda/norm/norm.h"
#include "cuda/norm/unit_operation.cuh"
#include "cuda/values.cuh"

namespace semgen::cuda {

namespace {

/// partial [blocks, channels, 2]: sums of g and of g times the normalised value.
__global__ void __launch_bounds__(columnThreads)
    gradientSums(Columns columns, Values z, Values dy, Affine affine, float2 *partial) {
  __shared__ float plains[columnThreads], weights[columnThreads];
  int channel = columns.channel();
  float plain = 0, weighted = 0;
  if (channel < columns.channels)
    for (int64_t row = columns.firstRow() + columns.lane(); row < columns.lastRow(); row += columns.lanes()) {
      int64_t i = row * columns.channels + channel;
      float value = z[i];
      if (!(affine(channel, value) > 0)) continue;
      float g = dy[i];
      plain += g;
      weighted += g * affine.normalised(channel, value);
    }
  plains[threadIdx.x] = plain;
  weights[threadIdx.x] = weighted;
  __syncthreads();
  if (columns.lane() > 0 || channel >= columns.channels) return;
  for (int i = int(threadIdx.x) + columns.width; i < columnThreads; i += columns.width) {
    plain += plains[i];
    weighted += weights[i];
  }
  partial[int64_t(blockIdx.x) * columns.channels + channel] = make_float2(plain, weighted);
}

struct FinishGradientSums {
  const float2 *partial;
  int blocks, channels;
  float *dbeta, *dgamma;
  SEMGEN_DEVICE void operator()(int64_t channel) const {
    double plain = 0, weighted = 0;
    for (int b = 0; b < blocks; ++b) {
      float2 sums = partial[int64_t(b) * channels + channel];
      plain += sums.x;
      weighted += sums.y;
    }
    dbeta[channel] = float(plain);
    dgamma[channel] = float(weighted);
  }
};

struct GradientOfZ {
  Values z, dy;
  Affine affine;
  const float *dbeta, *dgamma;
  float share;  // 1 / n; 0 where statistics are running ones
  int channels;
  Places dz;
  SEMGEN_DEVICE void operator()(int64_t i) const {
    int channel = int(i % channels);
    float value = z[i], normalised = affine.normalised(channel, value);
    float g = affine(channel, value) > 0 ? dy[i] : 0.0f;
    float centred = g - share * (dbeta[channel] + normalised * dgamma[channel]);
    dz.set(i, affine.of(channel).x * centred);
  }
};

/// The gradient of a unit's output as the passes of vectors.h take it.
GradientSource sourceOf(const CudaCompiler &c, TensorId dy) {
  GradientSource source{};
  if (const UnwrittenSum *sum = c.unwritten<UnwrittenSum>(dy)) {
    const Shape &small = c.shape(sum->pooled.dy);
    source = {GradientSource::Kind::pooled,
              c.data(sum->other),
              c.data(sum->pooled.mask),
              c.data(sum->pooled.dy),
              {uint32_t(small[1]), uint32_t(small[2]), uint32_t(small[3])},
              nullptr};
  } else if (const UnwrittenProduct *product = c.unwritten<UnwrittenProduct>(dy)) {
    source.kind = GradientSource::Kind::product;
    source.dy = c.data(product->dy);
    source.weights = c.data<float>(product->weight);
  } else {
    source.dy = c.data(dy);
  }
  return source;
}

/// Appends dbeta and dgamma. `fast`: in the passes of vectors.h.
void addGradientSums(CudaCompiler &c, const Operation &op, const NormVectors &vectors, bool fast) {
  Columns columns = columnsOf(c, op);
  float epsilon = normParameters(op).epsilon;
  TensorId dy = op.at("dy");
  auto finish = [&c, op, channels = columns.channels](cudaStream_t stream, TensorId partial, int blocks) {
    map(stream,
        FinishGradientSums{c.data<float2>(partial), blocks, channels, c.data<float>(op.at("dbeta")),
                           c.data<float>(op.at("dgamma"))},
        channels);
  };
  if (TensorId sums = c.gradientSums(dy); sums != none)
    return c.step([finish, sums](cudaStream_t stream) { finish(stream, sums, 1); });
  int blocks = fast ? vectors.blocks() : columns.blocks;
  TensorId partial = c.scratch(fast ? vectors.partialBytes() : columns.partialBytes(2));
  c.step([&c, op, columns, vectors, fast, epsilon, blocks, dy, partial, finish](cudaStream_t stream) {
    if (fast)
      vectors.gradientSums(stream, c.data(op.at("z")), sourceOf(c, dy), normChannels(c, op, epsilon),
                           c.data<float2>(partial));
    else
      launch(stream, gradientSums, Grid{unsigned(blocks), columns.channelTiles()}, Block{columnThreads}, 0, columns,
             valuesOf(c, op.at("z")), valuesOf(c, dy), affineOf(c, op, epsilon), c.data<float2>(partial));
    finish(stream, partial, blocks);
  });
}

}  // namespace

bool unitsGradientAlone(CudaCompiler &c, TensorId dy) {
  auto readers = c.program.readers(dy);
  if (c.program.persistent(dy) || readers.size() != 1 || readers[0].role != "dy") return false;
  const Operation &op = *readers[0].operation;
  const Shape &shape = c.shape(dy);
  return (op.name == "conv_unit_grad" || op.name == "up_unit_grad") && c.floats(dy) == DType::bf16 &&
         c.floats(op.at("z")) == DType::bf16 && NormVectors::fit(DType::bf16, int(shape.back())) &&
         elements(shape) / shape.back() <= INT32_MAX;
}

const Operation *gradientOfKnownUnit(CudaCompiler &c, TensorId dy) {
  if (!unitsGradientAlone(c, dy)) return nullptr;
  const Operation *op = c.program.readers(dy)[0].operation;
  return c.program.known(op->at("z")) ? op : nullptr;
}

NormChannels normChannels(const CudaCompiler &c, const Operation &op, float epsilon) {
  return {c.data<float>(op.at("gamma")), c.data<float>(op.at("beta")), c.data<float>(op.at("mean")),
          c.data<float>(op.at("variance")), epsilon};
}

TensorId normBackward(CudaCompiler &c, const Operation &op) {
  NormParameters parameters = normParameters(op);
  Columns columns = columnsOf(c, op);
  requireSameShape(c.program, op, "z", "dy");
  requireChannels(c, op, {"gamma", "beta", "mean", "variance", "dgamma", "dbeta"});
  TensorId z = op.at("z"), dy = op.at("dy");
  DType type = c.floats(z);
  int64_t count = columns.rows * columns.channels;
  float share = parameters.batchStatistics ? 1.0f / float(columns.rows) : 0.0f;
  NormVectors vectors{type, columns.channels, columns.rows};
  bool fast = inVectors(c, {z, dy}, columns.channels);
  addGradientSums(c, op, vectors, fast);
  bool written = !c.unwritten<UnwrittenSum>(dy) && !c.unwritten<UnwrittenProduct>(dy);
  if (fast && written && parameters.batchStatistics && computesUnitGradient(c, op)) {
    TensorId dz = c.program.scratch(0, c.shape(dy), type);
    c.leaveUnwritten(dz, UnwrittenUnitGradient{z, dy, op.at("gamma"), op.at("beta"), op.at("mean"), op.at("variance"),
                                               op.at("dbeta"), op.at("dgamma"), parameters.epsilon, share});
    return dz;
  }
  // In place where nothing else can see it: the gradient of a unit's output has this one reader.
  bool inPlace = written && !c.program.persistent(dy);
  TensorId dz = inPlace ? dy : c.program.scratch(size_t(count) * sizeOf(type), c.shape(dy), type);
  fast = fast && c.floats(dz) == type;
  c.step([&c, op, columns, parameters, vectors, fast, share, z, dy, dz, count](cudaStream_t stream) {
    const float *dbeta = c.data<float>(op.at("dbeta")), *dgamma = c.data<float>(op.at("dgamma"));
    if (fast)
      vectors.gradient(stream, c.data(z), sourceOf(c, dy),
                       NormGradient{normChannels(c, op, parameters.epsilon), dbeta, dgamma, share}, c.data(dz));
    else
      map(stream,
          GradientOfZ{valuesOf(c, z), valuesOf(c, dy), affineOf(c, op, parameters.epsilon), dbeta, dgamma, share,
                      columns.channels, placesOf(c, dz)},
          count);
  });
  return dz;
}

void biasGradient(CudaCompiler &c, const Operation &op, TensorId dz) {
  TensorId dbias = op.at("dbias");
  if (!normParameters(op).batchStatistics) return addChannelSums(c, dz, dbias);
  c.step([&c, dbias](cudaStream_t stream) {
    check(cudaMemsetAsync(c.data(dbias), 0, size_t(elements(c.shape(dbias))) * sizeof(float), stream),
          "Clearing a gradient");
  });
}

}  // namespace semgen::cuda
