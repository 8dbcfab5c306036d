// Work off the JavaScript thread, with its outcome as a promise.
#pragma once
#include <napi.h>

#include <functional>
#include <string>
#include <utility>

#include "binding/leaving.h"
#include "engine/error.h"

namespace semgen::binding {

/// A JavaScript Error that carries the engine's code: `error.code === 'OUT_OF_MEMORY'`.
inline Napi::Error makeError(Napi::Env env, const std::string &code, const std::string &message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

/// Runs `body` and turns every C++ exception into a JavaScript one with a code. For synchronous calls.
template <class Body>
auto guarded(Napi::Env env, Body &&body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error &) {
    throw;
  } catch (const Error &error) {
    throw makeError(env, error.code(), error.what());
  } catch (const std::bad_alloc &) {
    throw makeError(env, "OUT_OF_MEMORY", "The engine ran out of memory.");
  } catch (const std::exception &error) {
    throw makeError(env, "NATIVE", error.what());
  }
}

/// Runs `work` on libuv's pool; `settle` turns its result into a JavaScript value on the JavaScript thread.
/// JavaScript values that `work` reads must be kept alive by references inside `settle`'s captures.
class AsyncTask : public Napi::AsyncWorker {
 public:
  using Work = std::function<void()>;
  using Settle = std::function<Napi::Value(Napi::Env)>;

  static Napi::Promise start(Napi::Env env, Work work, Settle settle) {
    auto *task = new AsyncTask(env, std::move(work), std::move(settle));
    Napi::Promise promise = task->deferred_.Promise();
    task->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      work_();
    } catch (const Error &error) {
      fail(error.code(), error.what());
    } catch (const std::bad_alloc &) {
      fail("OUT_OF_MEMORY", "The engine ran out of memory.");
    } catch (const std::exception &error) {
      fail("NATIVE", error.what());
    } catch (...) {
      fail("NATIVE", "The engine failed for an unknown reason.");
    }
  }
  void OnOK() override {
    Napi::HandleScope scope(Env());
    try {
      deferred_.Resolve(settle_(Env()));
    } catch (const Napi::Error &error) {
      deferred_.Reject(error.Value());
    } catch (const std::exception &error) {
      deferred_.Reject(makeError(Env(), "NATIVE", error.what()).Value());
    }
  }
  void OnError(const Napi::Error &) override {
    Napi::HandleScope scope(Env());
    deferred_.Reject(makeError(Env(), code_, message_).Value());
  }

 private:
  AsyncTask(Napi::Env env, Work work, Settle settle)
      : AsyncWorker(env),
        work_(std::move(work)),
        settle_(std::move(settle)),
        deferred_(Napi::Promise::Deferred::New(env)) {}
  void fail(const char *code, const char *message) {
    code_ = code;
    message_ = message;
    SetError(message);
  }
  UnderWay underWay_;
  Work work_;
  Settle settle_;
  Napi::Promise::Deferred deferred_;
  std::string code_, message_;
};

}  // namespace semgen::binding
