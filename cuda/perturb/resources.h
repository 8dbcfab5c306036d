// Memory, streams and events that end with their owner. Memory grows and is not cleared, and nothing here touches the
// engine's stream: cubes are made while a step runs there, or is being captured.
#pragma once
#include <cstddef>

#include "cuda/launch.h"
#include "engine/memory.h"

namespace semgen::cuda {

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "Making a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  operator cudaStream_t() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_), "Making cubes"); }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "Making an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "Recording an event"); }
  /// At once where it was never recorded.
  void wait() const { check(cudaEventSynchronize(event_), "A copy"); }
  void delay(cudaStream_t stream) const { check(cudaStreamWaitEvent(stream, event_, 0), "Waiting for a copy"); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Memory of the device, or of the host where `pinned`: what copies run from on their own.
template <bool pinned>
class Room {
 public:
  Room() = default;
  ~Room() { release(); }
  Room(Room &&other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr, other.bytes_ = 0; }
  Room &operator=(Room &&) = delete;

  char *data() const { return data_; }
  size_t bytes() const { return bytes_; }
  /// At least so many bytes; what was in it is lost where it grows. Not while something still uses it.
  /// @throws Error OUT_OF_MEMORY
  void hold(size_t bytes, const char *purpose) {
    if (!tryHold(bytes)) outOfMemory(bytes, purpose, 0);
  }
  /// As hold; false where there is no memory for it.
  bool tryHold(size_t bytes) {
    if (bytes <= bytes_) return true;
    release();
    void *data = nullptr;
    cudaError_t status = pinned ? cudaMallocHost(&data, bytes) : cudaMalloc(&data, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return false;
    }
    check(status, "Allocating memory");
    data_ = static_cast<char *>(data);
    bytes_ = bytes;
    return true;
  }
  /// Told to the simulator: whatever reads it before it is written anew is at fault. On a card nobody watches.
  void forget() {
#ifdef SEMGEN_SIMULATOR
    if (data_ && !pinned) simulator::forgetWrites(data_, bytes_);
#endif
  }
  void release() {
    if (data_) pinned ? cudaFreeHost(data_) : cudaFree(data_);
    data_ = nullptr;
    bytes_ = 0;
  }

 private:
  char *data_ = nullptr;
  size_t bytes_ = 0;
};
using DeviceRoom = Room<false>;
using PinnedRoom = Room<true>;

/// On a boundary that suits every access.
inline size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace semgen::cuda
