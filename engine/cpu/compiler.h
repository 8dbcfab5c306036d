// The CPU engine's compiler: turns operations into kernels, each a sequence of oneDNN primitives and loops of our own.
// It also keeps every activation's memory layout: the operation that writes it first chooses (by asking oneDNN), later
// readers take it as it is, or have it reordered, which is counted.
#pragma once
#include <dnnl.hpp>
#include <functional>
#include <string>
#include <vector>

#include "engine/program.h"

namespace semgen::cpu {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

/// A tensor in a layout: where oneDNN finds its data and how it lies there.
struct Operand {
  TensorId id;
  Desc desc;
};

Type typeOf(DType type);

/// How many threads OpenMP gives to the calling thread's loops from now on. Neither the load of the machine nor
/// OMP_DYNAMIC makes it fewer: oneDNN's kernels are compiled for so many, and wait for each other.
void teamOf(int threads);

/// Whether oneDNN computes with AVX-512: for some convolutions it has no kernel without.
bool hasAvx512();

/// A kernel: steps run in order.
class Sequence : public Kernel {
 public:
  void run() override {
    for (const auto &step : steps) step();
  }
  std::string detail() const override { return note; }
  int reorders() const override { return reordersCounted; }

  std::vector<std::function<void()>> steps;
  std::string note;
  int reordersCounted = 0;
};

class CpuCompiler : public Compiler {
 public:
  CpuCompiler(Program &program, dnnl::engine engine, dnnl::stream stream, int threads)
      : program(program), engine(std::move(engine)), stream(std::move(stream)), threads(threads) {}

  std::unique_ptr<Kernel> compile(const Operation &operation) override;
  void run(const std::vector<std::unique_ptr<Kernel>> &kernels, const std::atomic<bool> &abort,
           std::vector<double> *seconds) override;

  // --- layouts -------------------------------------------------------------------------------------------------------
  /// oneDNN's order of an activation's extents: [N, X, Y, Z, C] -> {N, C, X, Y, Z}; [N, F] stays.
  Dims dims(TensorId id) const;
  Type type(TensorId id) const { return typeOf(program.dtype(id)); }
  /// The layout an activation has. Throws when nothing has written it yet.
  Operand operand(TensorId id) const;
  /// Whether that layout is known.
  bool placed(TensorId id) const;
  /// An activation's descriptor with the layout left open, for oneDNN to choose.
  Desc open(TensorId id) const { return open(id, type(id)); }
  Desc open(TensorId id, Type type) const { return Desc(dims(id), type, Tag::any); }
  /// A tensor as the input of a primitive that wants it as `wanted`: as it is, cast, or through a counted reorder.
  Operand reading(TensorId id, const Desc &wanted);
  /// An activation as the output of a primitive that writes `produced`: fixes its layout the first time.
  /// Call finishWriting after the primitive, which reorders when the activation has another layout or element type.
  Operand writing(TensorId id, const Desc &produced);
  void finishWriting(TensorId id, const Operand &written);
  /// An activation as the output of a loop that writes any layout: in the one it has, else in that of `like`, fixed
  /// now.
  Operand place(TensorId id, const Desc &like);
  /// An opaque tensor as what `desc` says; its readers find that in operand().
  Operand opaque(TensorId id, const Desc &desc);
  /// The layout of `like`, with the extents and element type of an activation.
  Desc layoutLike(TensorId id, const Desc &like) const;
  /// A dense tensor (weights, statistics, their gradients) seen with these extents, in order.
  Operand dense(TensorId id, const Dims &extents) const;
  Operand scratch(const Desc &desc) { return {program.scratch(desc.get_size()), desc}; }
  /// Scratch that stands in for an activation: same extents, in this layout, readable as an operand.
  Operand scratchLike(TensorId id, const Desc &desc);

  // --- steps ---------------------------------------------------------------------------------------------------------
  using Arguments = std::vector<std::pair<int, Operand>>;
  /// Appends a primitive; its scratchpad comes from the arena.
  void primitive(const dnnl::primitive &primitive, const Desc &scratchpad, const Arguments &arguments);
  /// Appends a reorder (a copy, a cast, a packing of weights). Not counted: only reading and finishWriting count
  /// theirs.
  void reorder(const Operand &from, const Operand &to);
  /// Appends a loop of our own; it asks for its pointers (data) when it runs.
  void loop(std::function<void()> body) { sequence_->steps.push_back(std::move(body)); }
  void note(const std::string &text) { sequence_->note += (sequence_->note.empty() ? "" : ", ") + text; }
  template <class T>
  T *data(TensorId id) const {
    return static_cast<T *>(program.data(id));
  }
  /// Attributes of every primitive.
  static dnnl::primitive_attr attributes();

  Program &program;
  dnnl::engine engine;
  dnnl::stream stream;
  int threads;

 private:
  Desc &layout(TensorId id);
  std::vector<Desc> layouts_;  // by tensor; zero where not fixed yet
  std::unique_ptr<Sequence> sequence_;
};

/// Makes one operation's kernel by appending steps. Each file of operations has a table; compiler.cpp joins them.
struct Registration {
  const char *name;
  void (*make)(CpuCompiler &, const Operation &);
};
extern const std::vector<Registration> convolutionOperations, unitOperations, poolOperations, linearOperations,
    elementwiseOperations, lossOperations, crossEntropyOperations, optimizerOperations, nearestOperations,
    resizeOperations;

}  // namespace semgen::cpu
