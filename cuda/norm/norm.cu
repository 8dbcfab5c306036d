// Batch normalisation + ReLU of z [N, X, Y, Z, C]: y = relu(gamma * (z - mean) * rstd + beta).
// Statistics: columns.cuh, float32 running moments a thread, combined in a fixed order. Memory-bound: reads z twice
// (once where the convolution gave the statistics) and writes y, or neither reads nor writes where all readers of y
// compute it from z.
#include "cuda/conv3d/pieces.h"
#include "cuda/norm/norm.h"
#include "cuda/norm/unit_operation.cuh"
#include "cuda/values.cuh"

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

}  // namespace semgen::cuda
