// Independent pieces of host work on several threads. Which thread takes which piece never changes a result.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace semgen {

/// Calls `body(piece, worker)` for every piece of [0, count) on up to `threads` threads, the caller's among them, and
/// returns when all are done. `worker`, below `threads`, tells which thread's scratch memory to use. The first
/// exception stops the handing out of pieces and is thrown here.
template <class Body>
void parallelFor(int64_t count, int threads, Body &&body) {
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failureMutex;
  auto serve = [&](int worker) {
    try {
      for (int64_t piece; (piece = next.fetch_add(1)) < count;) body(piece, worker);
    } catch (...) {
      std::lock_guard lock(failureMutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> helpers;
  const int64_t wanted = std::min<int64_t>(std::max(threads, 1), count) - 1;
  try {
    for (int i = 1; i <= wanted; i++) helpers.emplace_back(serve, i);
  } catch (const std::system_error &) {
    // No further thread is to be had: those that run do the work.
  }
  serve(0);
  for (std::thread &helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace semgen
