// The CUDA engine's compiler: turns operations into kernels, each a sequence of launches on the engine's stream.
//
// Every tensor lies dense in its logical order, activations N, X, Y, Z, C, so no layout is ever changed.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "cuda/runtime.h"
#include "engine/program.h"

namespace semgen::cuda {

/// How products of float32 activations are computed: as float32 says, or on tensor cores from tf32. Products of
/// bfloat16 activations are computed on tensor cores always.
enum class Float32Products { exact, tf32 };

class Choices;

// --- tensors that are never written, since all that reads them computes them while loading what they come from: so
// they cost no pass over memory, and no memory. Readers get the bits that would have been written.

/// A conv unit's output: relu(z * scale + shift), rounded to bfloat16.
struct UnwrittenUnit {
  TensorId z, affine;  // float2 [channels to a multiple of 16]: scale, shift, as affinePlace says
  std::vector<TensorId> parts() const { return {z, affine}; }
};
/// The gradient of a pooling's input: its output's, dy, where the mask says so.
struct UnwrittenPoolGradient {
  TensorId mask, dy;
  std::vector<TensorId> parts() const { return {mask, dy}; }
};
/// A gradient that is the sum of one in memory and a pooling's.
struct UnwrittenSum {
  TensorId other;
  UnwrittenPoolGradient pooled;
  std::vector<TensorId> parts() const { return {other, pooled.mask, pooled.dy}; }
};
/// The gradient of the input of a 1x1x1 convolution to one channel: dy of a voxel times the weight of a channel.
struct UnwrittenProduct {
  TensorId dy, weight;
  std::vector<TensorId> parts() const { return {dy, weight}; }
};
/// The gradient of a conv unit's z, from that of its output.
struct UnwrittenUnitGradient {
  TensorId z, dy, gamma, beta, mean, variance, dbeta, dgamma;
  float epsilon, share;
  std::vector<TensorId> parts() const { return {z, dy, gamma, beta, mean, variance, dbeta, dgamma}; }
};
/// A decoder's upsampled tensor, where composed weights take x past it: those, and what they were composed from.
struct UnwrittenUpsampling {
  TensorId images, composed;  // as Composition
  std::vector<TensorId> parts() const { return {images, composed}; }
};
using Unwritten = std::variant<UnwrittenUnit, UnwrittenPoolGradient, UnwrittenSum, UnwrittenProduct,
                               UnwrittenUnitGradient, UnwrittenUpsampling>;

class CudaCompiler : public Compiler {
 public:
  CudaCompiler(Program &program, Device &device, int gpu, cudaStream_t stream, Float32Products products,
               Choices &choices)
      : program(program), gpu(gpu), stream(stream), products(products), choices(choices), device_(device) {}
  ~CudaCompiler() override;

  std::unique_ptr<Kernel> compile(const Operation &operation) override;

  /// As one CUDA graph, captured in the first run; kernel by kernel with `seconds`, or where capture fails.
  void run(const std::vector<std::unique_ptr<Kernel>> &kernels, const std::atomic<bool> &abort,
           std::vector<double> *seconds) override;

  // --- for operations ------------------------------------------------------------------------------------------------
  const Shape &shape(TensorId id) const { return program.shape(id); }
  /// The element type of an activation. Throws unless float32 or bfloat16.
  DType floats(TensorId id) const;
  /// Memory that only the operation being compiled uses. Not zeroed: it is shared by lifetimes.
  TensorId scratch(size_t bytes) { return program.scratch(bytes); }
  /// An opaque tensor's size, said by the operation that writes it.
  void opaque(TensorId id, size_t bytes) { program.resize(id, bytes); }
  /// Appends launches; the body asks for its pointers (data) when it runs.
  void step(std::function<void(cudaStream_t)> body);
  /// Leaves an activation unwritten, whose readers all know how to do without: canStayUnwritten (conv3d/pieces.h) and
  /// unitsGradientAlone (norm/norm.h) say so.
  void leaveUnwritten(TensorId id, const Unwritten &from);
  /// What an activation is to be computed from; null where it is not from this.
  template <class From>
  const From *unwritten(TensorId id) const {
    auto it = unwritten_.find(id);
    return it == unwritten_.end() ? nullptr : std::get_if<From>(&it->second);
  }
  /// Leaves the sums that a unit's gradient takes over dy, which what writes dy took: float2 [channels].
  void leaveGradientSums(TensorId dy, TensorId sums) {
    program.keepAsLongAs(sums, dy);
    gradientSums_[dy] = sums;
  }
  /// -1 where there are none.
  TensorId gradientSums(TensorId dy) const {
    auto it = gradientSums_.find(dy);
    return it == gradientSums_.end() ? -1 : it->second;
  }
  /// Something to do once, when memory is placed, before the first run: filling tables of pointers.
  void once(std::function<void()> body) { preparations_.push_back(std::move(body)); }
  /// Memory for tables, that keeps its content between runs. Zero-filled.
  std::shared_ptr<Buffer> table(size_t bytes) { return device_.allocate(bytes, "tables of a step"); }
  void fill(const Buffer &table, const void *from) { device_.upload(table.data(), from, table.bytes()); }
  /// A number, 0 before every run, by which launches tell that their input is wrong. A run that ends with another one
  /// throws Error NATIVE in the words of `sentence`, which gets it. At most one an operation.
  int *complaint(std::function<std::string(int)> sentence);
  /// What was chosen, for plans and benchmarks.
  void note(const std::string &text);
  /// One element, when nothing runs.
  template <class T>
  T peek(TensorId id, int64_t index) {
    T value;
    device_.download(&value, data<T>(id) + index, sizeof(T));
    return value;
  }
  template <class T = void>
  T *data(TensorId id) const {
    return static_cast<T *>(program.data(id));
  }
  /// As data; null where the operation does not have the role.
  template <class T = void>
  T *dataOf(const Operation &operation, const char *role) const {
    return operation.has(role) ? data<T>(operation.at(role)) : nullptr;
  }

  Program &program;
  const int gpu;
  const cudaStream_t stream;
  const Float32Products products;
  Choices &choices;  // the engine's, of how convolutions are computed

 private:
  class Launches;
  void prepare();
  void throwComplaints();
  void replay(const std::vector<std::unique_ptr<Kernel>> &kernels);
  void capture(const std::vector<std::unique_ptr<Kernel>> &kernels);
  void runOperation(const std::vector<std::unique_ptr<Kernel>> &kernels, size_t i);

  Device &device_;  // the engine, which outlives its programs
  Launches *compiling_ = nullptr;
  std::map<TensorId, Unwritten> unwritten_;
  std::map<TensorId, TensorId> gradientSums_;
  std::vector<std::function<void()>> preparations_;
  std::shared_ptr<Buffer> complaints_;
  std::vector<std::function<std::string(int)>> sentences_;
  cudaGraphExec_t graph_ = nullptr;
  bool captureFailed_ = false;
};

/// Makes one operation's kernel by appending steps. Each family has a table; compiler.cpp joins them.
struct Registration {
  const char *name;
  void (*make)(CudaCompiler &, const Operation &);
};
extern const std::vector<Registration> conv3dOperations, convTranspose3dOperations, convUnitOperations,
    elementwiseOperations, poolOperations, linearOperations, resizeOperations, lossOperations, crossEntropyOperations,
    optimizerOperations, nearestOperations;

}  // namespace semgen::cuda
