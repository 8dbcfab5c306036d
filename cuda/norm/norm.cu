// Batch normalisation + ReLU of z [N, X, Y, Z, C] and its gradient.
//   forward    y = relu(gamma * (z - mean) * rstd + beta)
//   gradient   g = dy where y > 0;  dbeta = sum g;  dgamma = sum g * (z - mean) * rstd
//              dz = gamma * rstd * (g - dbeta / n - (z - mean) * rstd * dgamma / n)    (running statistics: gamma rstd
//              g)
// Statistics: columns.cuh, float32 running moments a thread, combined in a fixed order. Whether y > 0 is computed again
// from z: no mask is kept. Memory-bound: forward reads z twice (once where the convolution gave the statistics) and
// writes y, or neither reads nor writes where all readers of y compute it from z; the gradient reads z and dy twice, or
// what an unwritten dy is computed from, and writes dz.
#include "cuda/conv3d/pieces.h"
#include "cuda/norm/affine.cuh"
#include "cuda/norm/columns.cuh"
#include "cuda/norm/norm.h"
#include "cuda/norm/vectors.h"
#include "cuda/values.cuh"
#include "engine/checks.h"

namespace semgen::cuda {

namespace {

/// partial [blocks, channels] of count, mean, squares.
__global__ void __launch_bounds__(columnThreads) momentsOfRows(Columns columns, Values z, Moments *partial) {
  __shared__ float counts[columnThreads], means[columnThreads], squares[columnThreads];
  int channel = columns.channel();
  Moments mine{0, 0, 0};
  if (channel < columns.channels)
    for (int64_t row = columns.firstRow() + columns.lane(); row < columns.lastRow(); row += columns.lanes())
      mine.add(z[row * columns.channels + channel]);
  counts[threadIdx.x] = mine.count;
  means[threadIdx.x] = mine.mean;
  squares[threadIdx.x] = mine.squares;
  __syncthreads();
  if (columns.lane() > 0 || channel >= columns.channels) return;
  for (int i = int(threadIdx.x) + columns.width; i < columnThreads; i += columns.width)
    mine.add(Moments{counts[i], means[i], squares[i]});
  partial[int64_t(blockIdx.x) * columns.channels + channel] = mine;
}

struct FinishMoments {
  const Moments *partial;
  int blocks, channels;
  float *mean, *variance;
  SEMGEN_DEVICE void operator()(int64_t channel) const {
    Moments all = partial[channel];
    for (int b = 1; b < blocks; ++b) all.add(partial[int64_t(b) * channels + channel]);
    mean[channel] = all.mean;
    variance[channel] = all.squares / all.count;
  }
};

/// Up to two shifts, summed.
struct Shifts {
  const float *one, *other;
  SEMGEN_DEVICE float operator[](int64_t channel) const {
    return (one ? one[channel] : 0.0f) + (other ? other[channel] : 0.0f);
  }
};

struct TakeRunning {
  const float *runningMean, *runningVariance;
  Shifts shifts;
  float *mean, *variance;
  SEMGEN_DEVICE void operator()(int64_t channel) const {
    mean[channel] = runningMean[channel] - shifts[channel];
    variance[channel] = runningVariance[channel];
  }
};

struct MoveRunning {
  const float *mean, *variance;
  Shifts shifts;
  float momentum, unbiased;
  float *runningMean, *runningVariance;
  SEMGEN_DEVICE void operator()(int64_t channel) const {
    runningMean[channel] += momentum * (mean[channel] + shifts[channel] - runningMean[channel]);
    runningVariance[channel] += momentum * (variance[channel] * unbiased - runningVariance[channel]);
  }
};

/// What normalises one channel.
struct Affine {
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
  SEMGEN_DEVICE float rstd(int channel) const { return rsqrtf(variance[channel] + epsilon); }
  SEMGEN_DEVICE float normalised(int channel, float z) const { return (z - mean[channel]) * rstd(channel); }
  SEMGEN_DEVICE float2 of(int channel) const {
    return unitAffine(gamma[channel], beta[channel], mean[channel], rstd(channel));
  }
  SEMGEN_DEVICE float operator()(int channel, float z) const { return beforeRelu(of(channel), z); }
};

/// For those who compute y from z themselves.
struct FindAffine {
  Affine affine;
  float2 *found;
  SEMGEN_DEVICE void operator()(int64_t channel) const { found[affinePlace(int(channel))] = affine.of(int(channel)); }
};

struct Normalise {
  Values z;
  Affine affine;
  Places y;
  int channels;
  SEMGEN_DEVICE void operator()(int64_t i) const { y.set(i, relu(affine(int(i % channels), z[i]))); }
};

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

Affine affineOf(const CudaCompiler &c, const Operation &op, float epsilon) {
  return {c.data<float>(op.at("gamma")), c.data<float>(op.at("beta")), c.data<float>(op.at("mean")),
          c.data<float>(op.at("variance")), epsilon};
}

NormChannels normChannels(const CudaCompiler &c, const Operation &op, float epsilon) {
  return {c.data<float>(op.at("gamma")), c.data<float>(op.at("beta")), c.data<float>(op.at("mean")),
          c.data<float>(op.at("variance")), epsilon};
}

/// Whether all these activations take the passes of vectors.h.
bool inVectors(const CudaCompiler &c, std::initializer_list<TensorId> activations, int channels) {
  DType type = c.floats(*activations.begin());
  for (TensorId id : activations)
    if (c.floats(id) != type) return false;
  return NormVectors::fit(type, channels);
}

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

Columns columnsOf(const CudaCompiler &c, const Operation &op) {
  const Shape &z = requireRank(c.program, op, "z", 5);
  return Columns(elements(z) / z.back(), int(z.back()));
}

/// Everything a channel has one of.
void requireChannels(const CudaCompiler &c, const Operation &op, std::initializer_list<const char *> roles) {
  int64_t channels = c.shape(op.at("z")).back();
  for (const char *role : roles) {
    requireShape(c.program, op, role, {channels});
    requireType(c.program, op, role, DType::f32);
  }
}

}  // namespace

NormParameters normParameters(const Operation &op) {
  const std::string &statistics = op.text("statistics");
  if (statistics != "batch" && statistics != "running")
    throw Error("NATIVE", op.name + " takes statistics \"batch\" or \"running\", not \"" + statistics + "\".");
  return {statistics == "batch", float(op.number("epsilon"))};
}

void normForward(CudaCompiler &c, const Operation &op, const std::vector<TensorId> &shifts, bool statisticsKnown) {
  NormParameters parameters = normParameters(op);
  Columns columns = columnsOf(c, op);
  requireSameShape(c.program, op, "z", "y");
  requireChannels(c, op, {"gamma", "beta", "mean", "variance", "running_mean", "running_variance"});
  if (shifts.size() > 2) throw Error("NATIVE", "A conv unit has at most two biases.");
  for (TensorId shift : shifts) requireCount(c, shift, columns.channels);
  if (parameters.batchStatistics && columns.rows < 2)
    throw Error("NATIVE", "Batch statistics need more than one value a channel: use a larger batch or patch.");
  c.opaque(op.at("mask"), 0);

  auto shiftsNow = [&c, shifts] {
    auto at = [&](size_t i) { return i < shifts.size() ? c.data<float>(shifts[i]) : nullptr; };
    return Shifts{at(0), at(1)};
  };
  if (!parameters.batchStatistics)
    c.step([&c, op, columns, shiftsNow](cudaStream_t stream) {
      map(stream,
          TakeRunning{c.data<float>(op.at("running_mean")), c.data<float>(op.at("running_variance")), shiftsNow(),
                      c.data<float>(op.at("mean")), c.data<float>(op.at("variance"))},
          columns.channels);
    });
  else if (!statisticsKnown)
    c.step([&c, op, columns, partial = c.scratch(columns.partialBytes(3))](cudaStream_t stream) {
      launch(stream, momentsOfRows, Grid{unsigned(columns.blocks), columns.channelTiles()}, Block{columnThreads}, 0,
             columns, valuesOf(c, op.at("z")), c.data<Moments>(partial));
      map(stream,
          FinishMoments{c.data<Moments>(partial), columns.blocks, columns.channels, c.data<float>(op.at("mean")),
                        c.data<float>(op.at("variance"))},
          columns.channels);
    });
  NormVectors vectors{c.floats(op.at("z")), columns.channels, columns.rows};
  if (c.floats(op.at("z")) == DType::bf16 && canStayUnwritten(c, op.at("y"))) {
    TensorId affine = c.scratch(size_t(columns.channels + 15) / 16 * 16 * sizeof(float2));
    c.leaveUnwritten(op.at("y"), UnwrittenUnit{op.at("z"), affine});
    c.step([&c, op, parameters, affine, channels = columns.channels](cudaStream_t stream) {
      map(stream, FindAffine{affineOf(c, op, parameters.epsilon), c.data<float2>(affine)}, channels);
    });
  } else if (inVectors(c, {op.at("z"), op.at("y")}, columns.channels))
    c.step([&c, op, parameters, vectors](cudaStream_t stream) {
      vectors.normalise(stream, c.data(op.at("z")), c.data(op.at("y")), normChannels(c, op, parameters.epsilon));
    });
  else
    c.step([&c, op, columns, parameters](cudaStream_t stream) {
      map(stream,
          Normalise{valuesOf(c, op.at("z")), affineOf(c, op, parameters.epsilon), placesOf(c, op.at("y")),
                    columns.channels},
          columns.rows * columns.channels);
    });
  if (!parameters.batchStatistics || !op.flag("update")) return;
  float unbiased = float(double(columns.rows) / double(columns.rows - 1));
  c.step([&c, op, columns, shiftsNow, unbiased](cudaStream_t stream) {
    map(stream,
        MoveRunning{c.data<float>(op.at("mean")), c.data<float>(op.at("variance")), shiftsNow(),
                    float(op.number("momentum")), unbiased, c.data<float>(op.at("running_mean")),
                    c.data<float>(op.at("running_variance"))},
        columns.channels);
  });
}

bool unitsGradientAlone(CudaCompiler &c, TensorId dy) {
  auto readers = c.program.readers(dy);
  if (c.program.persistent(dy) || readers.size() != 1 || readers[0].role != "dy") return false;
  const Operation &op = *readers[0].operation;
  const Shape &shape = c.shape(dy);
  return (op.name == "conv_unit_grad" || op.name == "up_unit_grad") && c.floats(dy) == DType::bf16 &&
         c.floats(op.at("z")) == DType::bf16 && NormVectors::fit(DType::bf16, int(shape.back())) &&
         elements(shape) / shape.back() <= INT32_MAX;
}

TensorId normBackward(CudaCompiler &c, const Operation &op) {
  NormParameters parameters = normParameters(op);
  Columns columns = columnsOf(c, op);
  requireSameShape(c.program, op, "z", "dy");
  requireChannels(c, op, {"gamma", "beta", "mean", "variance", "dgamma", "dbeta"});
  TensorId dy = op.at("dy");
  int64_t count = columns.rows * columns.channels;
  bool written = !c.unwritten<UnwrittenSum>(dy) && !c.unwritten<UnwrittenProduct>(dy);
  // In place where nothing else can see it: the gradient of a unit's output has this one reader.
  TensorId dz = dy;
  if (!written || c.program.persistent(dy)) {
    DType type = c.floats(op.at("z"));
    dz = c.program.scratch(size_t(count) * sizeOf(type), c.shape(dy), type);
  }
  float share = parameters.batchStatistics ? 1.0f / float(columns.rows) : 0.0f;
  NormVectors vectors{c.floats(dz), columns.channels, columns.rows};
  bool fast = inVectors(c, {op.at("z"), dy, dz}, columns.channels);
  int blocks = fast ? vectors.blocks() : columns.blocks;
  TensorId partial = c.scratch(fast ? vectors.partialBytes() : columns.partialBytes(2));
  c.step([&c, op, columns, parameters, vectors, fast, blocks, share, dy, dz, count, partial](cudaStream_t stream) {
    float *dbeta = c.data<float>(op.at("dbeta")), *dgamma = c.data<float>(op.at("dgamma"));
    NormChannels norm = normChannels(c, op, parameters.epsilon);
    Affine affine = affineOf(c, op, parameters.epsilon);
    Values z = valuesOf(c, op.at("z"));
    if (fast)
      vectors.gradientSums(stream, z.data, sourceOf(c, dy), norm, c.data<float2>(partial));
    else
      launch(stream, gradientSums, Grid{unsigned(blocks), columns.channelTiles()}, Block{columnThreads}, 0, columns, z,
             valuesOf(c, dy), affine, c.data<float2>(partial));
    map(stream, FinishGradientSums{c.data<float2>(partial), blocks, columns.channels, dbeta, dgamma}, columns.channels);
    if (fast)
      vectors.gradient(stream, z.data, sourceOf(c, dy), norm, dbeta, dgamma, share, c.data(dz));
    else
      map(stream, GradientOfZ{z, valuesOf(c, dy), affine, dbeta, dgamma, share, columns.channels, placesOf(c, dz)},
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
