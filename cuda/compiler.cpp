#include "cuda/compiler.h"

#include <cstdio>

#include "cuda/launch.h"
#include "cuda/lifetimes.h"
#include "cuda/timing.h"

namespace semgen::cuda {

class CudaCompiler::Launches : public Kernel {
 public:
  explicit Launches(cudaStream_t stream) : stream(stream) {}
  void run() override {
    for (const auto &step : steps) step(stream);
  }
  std::string detail() const override { return text; }

  cudaStream_t stream;
  std::vector<std::function<void(cudaStream_t)>> steps;
  std::string text;
};

static auto makerOf(const std::string &name) {
  for (const auto *table : {&conv3dOperations, &convTranspose3dOperations, &convUnitOperations, &elementwiseOperations,
                            &poolOperations, &linearOperations, &resizeOperations, &lossOperations,
                            &crossEntropyOperations, &optimizerOperations, &nearestOperations})
    for (const Registration &entry : *table)
      if (name == entry.name) return entry.make;
  throw Error("NATIVE", "The CUDA engine has no operation \"" + name + "\".");
}

CudaCompiler::~CudaCompiler() {
  if (graph_) cudaGraphExecDestroy(graph_);
}

std::unique_ptr<Kernel> CudaCompiler::compile(const Operation &operation) {
  auto launches = std::make_unique<Launches>(stream);
  compiling_ = launches.get();
  makerOf(operation.name)(*this, operation);
  compiling_ = nullptr;
  return launches;
}

DType CudaCompiler::floats(TensorId id) const {
  DType type = program.dtype(id);
  if (type == DType::i32) throw Error("NATIVE", "A float32 or bfloat16 tensor was expected.");
  return type;
}

void CudaCompiler::step(std::function<void(cudaStream_t)> body) { compiling_->steps.push_back(std::move(body)); }

void CudaCompiler::leaveUnwritten(TensorId id, const Unwritten &from) {
  program.resize(id, 0);
  for (TensorId part : std::visit([](const auto &of) { return of.parts(); }, from)) program.keepAsLongAs(part, id);
  unwritten_.emplace(id, from);
}

void CudaCompiler::note(const std::string &text) { compiling_->text += (compiling_->text.empty() ? "" : ", ") + text; }

void CudaCompiler::run(const std::vector<std::unique_ptr<Kernel>> &kernels, const std::atomic<bool> &abort,
                       std::vector<double> *seconds) {
  check(cudaSetDevice(gpu), "Choosing the card");
  prepare();
  if (!seconds) {
    throwIfAborted(abort);
    replay(kernels);
    check(cudaStreamSynchronize(stream), "A step");
    return throwComplaints();
  }
  TimingEvent before, after;
  for (size_t i = 0; i < kernels.size(); ++i) {
    throwIfAborted(abort);
    before.record(stream);
    runOperation(kernels, i);
    after.record(stream);
    (*seconds)[i] += after.secondsSince(before);
  }
  throwComplaints();
}

void CudaCompiler::prepare() {
  for (const auto &body : preparations_) body();
  preparations_.clear();
}

constexpr size_t mostComplaints = 64;

int *CudaCompiler::complaint(std::function<std::string(int)> sentence) {
  if (!complaints_) complaints_ = table(mostComplaints * sizeof(int));
  if (sentences_.size() == mostComplaints)
    throw Error("NATIVE", "A program has too many operations that may complain.");
  sentences_.push_back(std::move(sentence));
  return static_cast<int *>(complaints_->data()) + sentences_.size() - 1;
}

void CudaCompiler::throwComplaints() {
  if (!complaints_) return;
  int found[mostComplaints], none[mostComplaints] = {};
  device_.download(found, complaints_->data(), sizeof(found));
  for (size_t i = 0; i < sentences_.size(); ++i) {
    if (found[i] == 0) continue;
    device_.upload(complaints_->data(), none, sizeof(none));
    throw Error("NATIVE", sentences_[i](found[i]));
  }
}

void CudaCompiler::replay(const std::vector<std::unique_ptr<Kernel>> &kernels) {
  if (!graph_ && !captureFailed_) capture(kernels);
  if (graph_) return check(cudaGraphLaunch(graph_, stream), "Starting the graph of a step");
  for (size_t i = 0; i < kernels.size(); ++i) runOperation(kernels, i);
}

void CudaCompiler::runOperation(const std::vector<std::unique_ptr<Kernel>> &kernels, size_t i) {
  beginOperation(program, int(i), stream);
  kernels[i]->run();
}

void CudaCompiler::capture(const std::vector<std::unique_ptr<Kernel>> &kernels) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "Beginning to capture a step");
  std::string failure;
  try {
    for (size_t i = 0; i < kernels.size(); ++i) runOperation(kernels, i);
  } catch (const std::exception &error) {  // whatever it is, a capture that was begun is ended
    failure = error.what();
  }
  cudaGraph_t recorded = nullptr;
  cudaError_t status = cudaStreamEndCapture(stream, &recorded);
  if (status == cudaSuccess && failure.empty()) status = cudaGraphInstantiate(&graph_, recorded, 0);
  if (recorded) cudaGraphDestroy(recorded);
  if (status == cudaSuccess && failure.empty()) return;
  captureFailed_ = true;
  graph_ = nullptr;
  cudaGetLastError();
  std::fprintf(stderr, "The step could not be captured as a CUDA graph and runs launch by launch: %s\n",
               failure.empty() ? cudaGetErrorString(status) : failure.c_str());
}

}  // namespace semgen::cuda
