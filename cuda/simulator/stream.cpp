// Streams, events and graphs: in order, on the calling thread.
#include "cuda/simulator/stream.h"

#include <chrono>
#include <memory>
#include <vector>

#include "cuda/simulator/memory.h"

using namespace semgen::simulator;
using Clock = std::chrono::steady_clock;

struct CUgraph_st {
  std::vector<std::function<cudaError_t()>> nodes;
};
struct CUgraphExec_st {
  std::vector<std::function<cudaError_t()>> nodes;
};
struct CUstream_st {
  CUgraph_st *capturing = nullptr;  // what its work is recorded in
  bool origin = false;              // where the capture began
};
struct CUevent_st {
  Clock::time_point time;
  bool recorded = false;
  CUgraph_st *capturing = nullptr;  // the capture it was recorded in
};

namespace {
CUstream_st defaultStream;
CUstream_st &streamOf(cudaStream_t stream) { return stream == nullptr ? defaultStream : *stream; }
/// Streams that joined a capture by waiting for one of its events, to be let go at its end.
std::vector<std::pair<CUgraph_st *, CUstream_st *>> &joined() {
  static auto *all = new std::vector<std::pair<CUgraph_st *, CUstream_st *>>;
  return *all;
}
}  // namespace

namespace semgen::simulator {

cudaError_t submit(cudaStream_t stream, std::function<cudaError_t()> work) {
  CUstream_st &on = streamOf(stream);
  if (on.capturing == nullptr) return noted(work());
  on.capturing->nodes.push_back(std::move(work));
  return cudaSuccess;
}

cudaError_t barInOrder(void *device, size_t bytes, cudaStream_t stream) {
  return submit(stream, [=] {
    bar(device, bytes);
    return cudaSuccess;
  });
}

cudaError_t openInOrder(void *device, size_t bytes, cudaStream_t stream) {
  return submit(stream, [=] {
    open(device, bytes);
    return cudaSuccess;
  });
}

cudaError_t launchKernel(KernelCall *call, dim3 grid, dim3 block, size_t dynamicShared, cudaStream_t stream) {
  std::shared_ptr<const KernelCall> held(call);
  uint64_t threads = uint64_t(block.x) * block.y * block.z;
  std::string wrong;
  if (threads == 0 || threads > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64)
    wrong = "a block has 1 to 1024 threads, at most 64 of them in z";
  else if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    wrong = "a grid has at least one block, and at most 65535 in y and z";
  else if (size_t limit = dynamicSharedLimit(held->kernel); dynamicShared > limit)
    wrong = "a block of this kernel may have " + std::to_string(limit / 1024) + " KiB of dynamic shared memory, not " +
            std::to_string(dynamicShared) + " bytes";
  if (!wrong.empty()) {
    setReport("invalid launch: " + wrong);
    return noted(cudaErrorInvalidConfiguration);
  }
  return submit(stream, [held, grid, block, dynamicShared] { return runKernel(*held, grid, block, dynamicShared); });
}

}  // namespace semgen::simulator

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::erase_if(joined(), [&](const auto &pair) { return pair.second == stream; });
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return streamOf(stream).capturing != nullptr ? noted(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  CUstream_st &on = streamOf(stream);
  if (event->capturing != nullptr && on.capturing == nullptr) {
    on.capturing = event->capturing;
    joined().push_back({event->capturing, &on});
  }
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) { return cudaEventCreate(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->capturing = streamOf(stream).capturing;
  event->recorded = event->capturing == nullptr;
  event->time = Clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return event->capturing != nullptr ? noted(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) { return cudaEventSynchronize(event); }
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->recorded || !end->recorded) return noted(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data) {
  return submit(stream, [function, data] {
    function(data);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || stream->capturing != nullptr) return noted(cudaErrorStreamCaptureUnsupported);
  stream->capturing = new CUgraph_st;
  stream->origin = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  if (stream == nullptr || !stream->origin) return noted(cudaErrorInvalidValue);
  *graph = stream->capturing;
  stream->capturing = nullptr;
  stream->origin = false;
  for (auto &[of, other] : joined())
    if (of == *graph) other->capturing = nullptr;
  std::erase_if(joined(), [&](const auto &pair) { return pair.first == *graph; });
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status) {
  *status = streamOf(stream).capturing != nullptr ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  // The stream's copy: the executable may be destroyed before a capture that holds this launch is.
  return submit(stream, [nodes = executable->nodes] {
    for (const auto &node : nodes)
      if (cudaError_t error = node(); error != cudaSuccess) return error;
    return cudaSuccess;
  });
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) {
  if (nodes != nullptr) return noted(cudaErrorNotSupported);
  *count = graph->nodes.size();
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
