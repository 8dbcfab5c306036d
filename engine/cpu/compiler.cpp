#include "engine/cpu/compiler.h"

#include <omp.h>

namespace semgen::cpu {

Type typeOf(DType type) {
  switch (type) {
    case DType::f32:
      return Type::f32;
    case DType::bf16:
      return Type::bf16;
    case DType::i32:
      return Type::s32;
  }
  throw Error("NATIVE", "An element type is unknown.");
}

bool hasAvx512() {
  // Its bits are those of what it includes, and AVX2 with VNNI is beside it.
  auto has = int(dnnl::get_effective_cpu_isa()), wanted = int(dnnl::cpu_isa::avx512_core);
  return (has & wanted) == wanted;
}

static auto makerOf(const std::string &name) {
  for (const auto *table :
       {&convolutionOperations, &unitOperations, &poolOperations, &linearOperations, &elementwiseOperations,
        &lossOperations, &crossEntropyOperations, &optimizerOperations, &nearestOperations, &resizeOperations})
    for (const Registration &entry : *table)
      if (name == entry.name) return entry.make;
  throw Error("NATIVE", "The CPU engine has no operation \"" + name + "\".");
}

std::unique_ptr<Kernel> CpuCompiler::compile(const Operation &operation) {
  sequence_ = std::make_unique<Sequence>();
  try {
    makerOf(operation.name)(*this, operation);
  } catch (const dnnl::error &error) {
    std::string shapes;
    for (const auto *roles : {&operation.inputs, &operation.outputs})
      for (const auto &[role, ids] : *roles)
        if (ids.size() == 1) shapes += " " + role + " " + describe(program.shape(ids[0])) + ";";
    throw Error("NATIVE", "oneDNN refused " + operation.name + ":" + shapes + " " + error.what() + ".");
  }
  return std::move(sequence_);
}

void teamOf(int threads) {
  omp_set_dynamic(0);
  omp_set_num_threads(threads);
}

void CpuCompiler::run(const std::vector<std::unique_ptr<Kernel>> &kernels, const std::atomic<bool> &abort,
                      std::vector<double> *seconds) {
  teamOf(threads);
  Compiler::run(kernels, abort, seconds);
}

Desc &CpuCompiler::layout(TensorId id) {
  if (size_t(id) >= layouts_.size()) layouts_.resize(size_t(id) + 1);
  return layouts_[id];
}

Dims CpuCompiler::dims(TensorId id) const {
  const Shape &shape = program.shape(id);
  if (shape.size() != 5) return shape;
  return {shape[0], shape[4], shape[1], shape[2], shape[3]};
}

bool CpuCompiler::placed(TensorId id) const {
  return program.persistent(id) || (size_t(id) < layouts_.size() && !layouts_[id].is_zero());
}

Operand CpuCompiler::operand(TensorId id) const {
  if (size_t(id) < layouts_.size() && !layouts_[id].is_zero()) return {id, layouts_[id]};
  if (!program.persistent(id)) throw Error("NATIVE", "An activation is read before its layout is known.");
  const Shape &shape = program.shape(id);
  if (shape.size() != 5) return dense(id, shape);
  // One channel: innermost and outermost are the same bytes, and oneDNN's first convolutions ask for the latter.
  return {id, Desc(dims(id), type(id), shape[4] == 1 ? Tag::ncdhw : Tag::ndhwc)};
}

Operand CpuCompiler::reading(TensorId id, const Desc &wanted) {
  Operand source = operand(id);
  if (source.desc == wanted) return source;
  Operand copy = scratchLike(id, wanted);
  reorder(source, copy);
  // What is written in another element type where it lies is a cast: an input to a network in bfloat16.
  Desc cast = wanted;
  cast.data.data_type = source.desc.data.data_type;
  if (cast != source.desc) ++sequence_->reordersCounted;
  return copy;
}

Operand CpuCompiler::scratchLike(TensorId id, const Desc &desc) {
  DType dtype = desc.data_type() == Type::bf16 ? DType::bf16 : desc.data_type() == Type::s32 ? DType::i32 : DType::f32;
  TensorId copy = program.scratch(desc.get_size(), program.shape(id), dtype);
  layout(copy) = desc;
  return {copy, desc};
}

Operand CpuCompiler::place(TensorId id, const Desc &like) {
  if (program.persistent(id)) return operand(id);
  Desc &known = layout(id);
  if (known.is_zero()) {
    known = like;
    known.data.data_type = dnnl::memory::convert_to_c(type(id));
    program.resize(id, known.get_size());
  }
  return {id, known};
}

Operand CpuCompiler::writing(TensorId id, const Desc &produced) {
  Operand target = place(id, produced);
  return target.desc == produced ? target : scratch(produced);
}

void CpuCompiler::finishWriting(TensorId id, const Operand &written) {
  if (written.id == id) return;
  reorder(written, operand(id));
  ++sequence_->reordersCounted;
}

Operand CpuCompiler::opaque(TensorId id, const Desc &desc) {
  layout(id) = desc;
  program.resize(id, desc.get_size());
  return {id, desc};
}

Desc CpuCompiler::layoutLike(TensorId id, const Desc &like) const {
  const auto &blocking = like.data.format_desc.blocking;
  int64_t lanes = blocking.inner_nblks > 0 ? blocking.inner_blks[0] : 0;
  bool channelsFirst = lanes == 0 && blocking.strides[1] != 1;
  return Desc(dims(id), type(id),
              lanes == 16     ? Tag::nCdhw16c
              : lanes == 8    ? Tag::nCdhw8c
              : channelsFirst ? Tag::ncdhw
                              : Tag::ndhwc);
}

Operand CpuCompiler::dense(TensorId id, const Dims &extents) const {
  if (elements(extents) != elements(program.shape(id)))
    throw Error("NATIVE",
                "A tensor of " + describe(program.shape(id)) + " was expected to hold " + describe(extents) + ".");
  Dims strides(extents.size(), 1);
  for (int i = int(extents.size()) - 2; i >= 0; --i) strides[i] = strides[i + 1] * extents[i + 1];
  return {id, Desc(extents, type(id), strides)};
}

dnnl::primitive_attr CpuCompiler::attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

void CpuCompiler::primitive(const dnnl::primitive &primitive, const Desc &scratchpad, const Arguments &arguments) {
  Arguments all = arguments;
  if (scratchpad.get_size() > 0) all.push_back({DNNL_ARG_SCRATCHPAD, scratch(scratchpad)});
  // Memory objects are made once; addresses are set at each run, since the arena exists only after compilation.
  std::unordered_map<int, dnnl::memory> memories;
  for (const auto &[argument, operand] : all) memories.emplace(argument, dnnl::memory(operand.desc, engine, nullptr));
  loop([this, primitive, all, memories]() {
    for (const auto &[argument, operand] : all) memories.at(argument).set_data_handle(program.data(operand.id));
    primitive.execute(stream, memories);
  });
}

void CpuCompiler::reorder(const Operand &from, const Operand &to) {
  dnnl::reorder::primitive_desc chosen(engine, from.desc, engine, to.desc, attributes());
  primitive(dnnl::reorder(chosen), chosen.scratchpad_desc(), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

}  // namespace semgen::cpu
