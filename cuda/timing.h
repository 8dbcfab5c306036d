// Times of what a stream does.
#pragma once
#include "cuda/launch.h"

namespace semgen::cuda {

/// A point of a stream; ends with its owner, whatever is thrown.
class TimingEvent {
 public:
  TimingEvent() { check(cudaEventCreate(&event_), "Making an event"); }
  ~TimingEvent() { cudaEventDestroy(event_); }
  TimingEvent(const TimingEvent &) = delete;
  TimingEvent &operator=(const TimingEvent &) = delete;

  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "Recording an event"); }
  /// Waits for this one. Both must have been recorded, `before` first.
  double secondsSince(const TimingEvent &before) const {
    check(cudaEventSynchronize(event_), "What was timed");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, before.event_, event_), "Reading a time");
    return 1e-3 * milliseconds;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace semgen::cuda
