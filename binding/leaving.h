// Ending the process while threads of the addon are at work.
#pragma once
#include <napi.h>
#include <unistd.h>

#include <atomic>

namespace semgen::binding {

/// Pieces of work that were begun, or wait for their turn, on other threads than JavaScript's.
inline std::atomic<int> underWay = 0;

/// One of them, for as long as it lives.
class UnderWay {
 public:
  UnderWay() { ++underWay; }
  ~UnderWay() { --underWay; }
  UnderWay(const UnderWay &) = delete;
  UnderWay &operator=(const UnderWay &) = delete;
};

/// leave(code): ends the process at once where work is under way, and does nothing elsewhere. Called when the process
/// exits, after all else that listens: the destructors that come then would take apart what the work still uses.
inline Napi::Value leave(const Napi::CallbackInfo &info) {
  if (underWay > 0) _exit(info[0].ToNumber().Int32Value());
  return info.Env().Undefined();
}

}  // namespace semgen::binding
