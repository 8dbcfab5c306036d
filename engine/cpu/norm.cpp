#include "engine/cpu/norm.h"

#include <cstring>

#include "engine/cpu/values.h"

namespace semgen::cpu {

using Flags = dnnl::normalization_flags;

NormParameters normParameters(const Operation &operation) {
  const std::string &statistics = operation.text("statistics");
  if (statistics != "batch" && statistics != "running")
    throw Error("NATIVE", operation.name + " takes statistics \"batch\" or \"running\", not \"" + statistics + "\".");
  return {statistics == "batch", float(operation.number("epsilon"))};
}

static Flags flagsOf(const NormParameters &parameters) {
  Flags flags = Flags::use_scale | Flags::use_shift | Flags::fuse_norm_relu;
  return parameters.batchStatistics ? flags : flags | Flags::use_global_stats;
}

static dnnl::batch_normalization_forward::primitive_desc describeForward(CpuCompiler &c, const Desc &z,
                                                                         const NormParameters &parameters) {
  dnnl::batch_normalization_forward::desc desc(dnnl::prop_kind::forward_training, z, parameters.epsilon,
                                               flagsOf(parameters));
  return {desc, CpuCompiler::attributes(), c.engine};
}

void normForward(CpuCompiler &c, const Operation &op, const std::vector<TensorId> &shifts) {
  NormParameters parameters = normParameters(op);
  Operand z = c.operand(op.at("z"));
  int64_t channels = z.desc.dims()[1];
  int64_t samples = elements(z.desc.dims()) / channels;
  if (parameters.batchStatistics && samples < 2)
    throw Error("NATIVE", "Batch statistics need more than one value a channel: use a larger batch or patch.");
  auto chosen = describeForward(c, z.desc, parameters);
  Operand y = c.writing(op.at("y"), chosen.dst_desc());
  Operand gamma = c.dense(op.at("gamma"), {channels}), beta = c.dense(op.at("beta"), {channels});
  Operand mean = c.writing(op.at("mean"), c.dense(op.at("running_mean"), {channels}).desc);
  Operand variance = c.writing(op.at("variance"), mean.desc);
  Operand mask = c.opaque(op.at("mask"), chosen.workspace_desc());
  TensorId runningMean = op.at("running_mean"), runningVariance = op.at("running_variance");
  c.dense(runningVariance, {channels});  // dense refuses tensors of another size, which the loops below rely on
  for (TensorId shift : shifts) c.dense(shift, {channels});

  auto shiftOf = [&c, shifts](int64_t channel) {
    float sum = 0;
    for (TensorId shift : shifts) sum += c.data<float>(shift)[channel];
    return sum;
  };
  if (!parameters.batchStatistics)
    c.loop([=, &c] {
      for (int64_t i = 0; i < channels; ++i) c.data<float>(mean.id)[i] = c.data<float>(runningMean)[i] - shiftOf(i);
      std::memcpy(c.data<float>(variance.id), c.data<float>(runningVariance), size_t(channels) * sizeof(float));
    });
  c.primitive(dnnl::batch_normalization_forward(chosen), chosen.scratchpad_desc(),
              {{DNNL_ARG_SRC, z},
               {DNNL_ARG_SCALE, gamma},
               {DNNL_ARG_SHIFT, beta},
               {DNNL_ARG_MEAN, mean},
               {DNNL_ARG_VARIANCE, variance},
               {DNNL_ARG_DST, y},
               {DNNL_ARG_WORKSPACE, mask}});
  c.finishWriting(op.at("y"), y);
  if (!parameters.batchStatistics || !op.flag("update")) return;
  float momentum = float(op.number("momentum"));
  float unbiased = float(double(samples) / double(samples - 1));
  c.loop([=, &c] {
    float *meanNow = c.data<float>(runningMean), *varianceNow = c.data<float>(runningVariance);
    for (int64_t i = 0; i < channels; ++i) {
      meanNow[i] += momentum * (c.data<float>(mean.id)[i] + shiftOf(i) - meanNow[i]);
      varianceNow[i] += momentum * (c.data<float>(variance.id)[i] * unbiased - varianceNow[i]);
    }
  });
}

TensorId normBackward(CpuCompiler &c, const Operation &op) {
  NormParameters parameters = normParameters(op);
  Operand z = c.operand(op.at("z"));
  int64_t channels = z.desc.dims()[1];
  auto hint = describeForward(c, z.desc, parameters);
  dnnl::batch_normalization_backward::desc desc(dnnl::prop_kind::backward, z.desc, z.desc, parameters.epsilon,
                                                flagsOf(parameters));
  dnnl::batch_normalization_backward::primitive_desc chosen(desc, CpuCompiler::attributes(), c.engine, hint);
  Operand dy = c.reading(op.at("dy"), chosen.diff_dst_desc());
  // In place where nothing else can see it: the gradient of a unit's output has this one reader.
  Operand dz = c.program.persistent(dy.id) ? c.scratchLike(dy.id, chosen.diff_src_desc()) : dy;
  c.primitive(dnnl::batch_normalization_backward(chosen), chosen.scratchpad_desc(),
              {{DNNL_ARG_SRC, z},
               {DNNL_ARG_DIFF_DST, dy},
               {DNNL_ARG_DIFF_SRC, dz},
               {DNNL_ARG_SCALE, c.dense(op.at("gamma"), {channels})},
               {DNNL_ARG_SHIFT, c.dense(op.at("beta"), {channels})},
               {DNNL_ARG_MEAN, c.operand(op.at("mean"))},
               {DNNL_ARG_VARIANCE, c.operand(op.at("variance"))},
               {DNNL_ARG_WORKSPACE, c.operand(op.at("mask"))},
               {DNNL_ARG_DIFF_SCALE, c.dense(op.at("dgamma"), {channels})},
               {DNNL_ARG_DIFF_SHIFT, c.dense(op.at("dbeta"), {channels})}});
  return dz.id;
}

}  // namespace semgen::cpu
