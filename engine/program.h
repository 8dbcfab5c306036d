// A program: operations recorded once, compiled once (kernels chosen, memory planned from lifetimes), run many times.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine/operation.h"
#include "engine/tensor.h"

namespace semgen {

class CubeFiller;
class TileTuner;
struct CubeFillerOptions;
class Program;

/// One operation made executable by an engine. Pointers come from Program::data, valid once the program is compiled.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Does its work, or queues it on the engine's stream: Compiler::run waits for it.
  virtual void run() = 0;
  /// What was chosen, for plans and benchmarks: "jit:avx512_core", "composed".
  virtual std::string detail() const { return {}; }
  /// Layout changes of activations that a run performs.
  virtual int reorders() const { return 0; }
};

/// An engine's way of turning the operations of one program, in order, into kernels, and of running them.
class Compiler {
 public:
  virtual ~Compiler() = default;
  virtual std::unique_ptr<Kernel> compile(const Operation &operation) = 0;
  /// Runs all kernels in order, and returns when they have done their work. Stops between two of them, or before the
  /// first where they run as one, when `abort` is set, and throws Error ABORTED. With `seconds`, adds each kernel's
  /// time.
  virtual void run(const std::vector<std::unique_ptr<Kernel>> &kernels, const std::atomic<bool> &abort,
                   std::vector<double> *seconds);
};

/// Throws Error ABORTED when it is set.
void throwIfAborted(const std::atomic<bool> &abort);

/// An engine: what the binding is compiled against.
class Engine : public Device {
 public:
  virtual std::unique_ptr<Compiler> compiler(Program &program) = 0;
  /// What fills tensors with training cubes: see engine/cube_filler.h.
  virtual std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options) = 0;
  /// What it computes on: "AVX-512 BF16", "NVIDIA H200, compute capability 9.0".
  virtual std::string processor() const = 0;
  /// Of an engine that chooses tile shapes; null where its library does.
  virtual TileTuner *tuner() { return nullptr; }
  /// Bytes to leave unused behind every activation, where the engine can tell that something reaches into them.
  virtual size_t guardBytes() const { return 0; }
};

/// What a compiled program will use.
struct Plan {
  size_t arenaBytes = 0;       // activations and scratch, shared by lifetimes
  size_t persistentBytes = 0;  // tensors that outlive a run
  int reorders = 0;            // layout changes in a run
  struct Item {
    std::string operation, detail;
    std::string shapes;           // that tell it from others of its name
    double flops = 0, bytes = 0;  // as the contract writes it (engine/cost.h)
  };
  std::vector<Item> items;
};

class Program {
 public:
  explicit Program(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  /// A tensor that lives within a run. Its memory layout is the engine's choice.
  TensorId activation(Shape shape, DType dtype);
  /// A tensor only the engine understands (a ReLU mask, a pooling argmax): its producer decides the size.
  TensorId opaque();
  /// A persistent tensor, dense in its logical order.
  TensorId bind(std::shared_ptr<Tensor> tensor);

  /// Appends an operation; its roles and attributes are checked against ops.h. Throws Error NATIVE.
  void record(Operation operation);

  /// Builds the kernels, plans and allocates memory. Throws Error NATIVE or OUT_OF_MEMORY. With `allocate` false, only
  /// plans: the program cannot be run.
  Plan compile(bool allocate = true);

  /// Runs every kernel in order: see Compiler::run.
  void run(const std::atomic<bool> &abort, std::vector<double> *seconds = nullptr);

  // For compilers and kernels.
  const Shape &shape(TensorId id) const { return slot(id).shape; }
  DType dtype(TensorId id) const { return slot(id).dtype; }
  size_t bytes(TensorId id) const { return slot(id).bytes; }
  bool persistent(TensorId id) const { return slot(id).tensor != nullptr; }
  /// Fixes the size of an activation or opaque tensor once its layout is chosen.
  void resize(TensorId id, size_t bytes) { slot(id).bytes = bytes; }
  /// Memory that only the operation being compiled uses.
  TensorId scratch(size_t bytes, Shape shape = {}, DType dtype = DType::f32);
  /// The operations that read a tensor, in order, and by which role.
  struct Reader {
    const Operation *operation;
    std::string role;
  };
  std::vector<Reader> readers(TensorId id) const;
  /// Whether a tensor holds something when the operation that is being compiled runs.
  bool known(TensorId id) const { return persistent(id) || (slot(id).first >= 0 && slot(id).first < compiling_); }
  /// Keeps what `id` holds until the last operation that touches `other`. While compiling.
  void keepAsLongAs(TensorId id, TensorId other);
  void *data(TensorId id) const { return slot(id).data; }
  /// Everything that shares the arena, and for which operations, by index, it lives there.
  struct Resident {
    void *data;
    size_t bytes;
    int first, last;
  };
  std::vector<Resident> residents() const;
  const Buffer *arena() const { return arena_.get(); }

 private:
  struct Slot {
    Shape shape;
    DType dtype = DType::f32;
    std::shared_ptr<Tensor> tensor;  // persistent ones only
    size_t bytes = 0;
    int first = -1, last = -1;  // the operations that write and read it
    void *data = nullptr;
  };
  Slot &slot(TensorId id);
  const Slot &slot(TensorId id) const { return const_cast<Program *>(this)->slot(id); }
  void touch(TensorId id, int operation);
  void placeActivations(Plan &plan, bool allocate);

  std::shared_ptr<Engine> engine_;
  std::vector<Slot> slots_;
  std::vector<Operation> operations_;
  std::unique_ptr<Compiler> compiler_;
  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::unique_ptr<Buffer> arena_;
  int compiling_ = -1;
};

}  // namespace semgen
