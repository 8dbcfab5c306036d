// Resampling of activations to other extents, by oneDNN.
#include "engine/checks.h"
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

namespace {

dnnl::algorithm methodOf(const Operation &op) {
  const std::string &method = op.text("method");
  if (method == "nearest") return dnnl::algorithm::resampling_nearest;
  if (method == "linear") return dnnl::algorithm::resampling_linear;
  throw Error("NATIVE", op.name + " takes method \"nearest\" or \"linear\", not \"" + method + "\".");
}

/// Images and channels stay as they are.
void checkExtents(CpuCompiler &c, const Operation &op, const char *from, const char *to) {
  const Shape &x = requireRank(c.program, op, from, 5), &y = requireRank(c.program, op, to, 5);
  requireShape(c.program, op, to, {x[0], y[1], y[2], y[3], x[4]});
}

using Forward = dnnl::resampling_forward;
using Backward = dnnl::resampling_backward;

Forward::primitive_desc describeForward(CpuCompiler &c, const Operation &op, const Desc &x, const Desc &y) {
  return {Forward::desc(dnnl::prop_kind::forward_training, methodOf(op), x, y), CpuCompiler::attributes(), c.engine};
}

void resize(CpuCompiler &c, const Operation &op) {
  checkExtents(c, op, "x", "y");
  Operand x = c.operand(op.at("x"));
  auto chosen = describeForward(c, op, x.desc, c.layoutLike(op.at("y"), x.desc));
  Operand y = c.writing(op.at("y"), chosen.dst_desc());
  c.primitive(Forward(chosen), chosen.scratchpad_desc(), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}});
  c.finishWriting(op.at("y"), y);
}

void resizeGrad(CpuCompiler &c, const Operation &op) {
  checkExtents(c, op, "dy", "dx");
  Operand dy = c.operand(op.at("dy"));
  Desc input = c.layoutLike(op.at("dx"), dy.desc);
  auto hint = describeForward(c, op, input, dy.desc);
  Backward::primitive_desc chosen(Backward::desc(methodOf(op), input, dy.desc), CpuCompiler::attributes(), c.engine,
                                  hint);
  Operand dx = c.writing(op.at("dx"), chosen.diff_src_desc());
  c.primitive(Backward(chosen), chosen.scratchpad_desc(), {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_SRC, dx}});
  c.finishWriting(op.at("dx"), dx);
}

}  // namespace

const std::vector<Registration> resizeOperations = {{"resize", resize}, {"resize_grad", resizeGrad}};

}  // namespace semgen::cpu
