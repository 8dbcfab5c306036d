// CubeFiller as a JavaScript class (src/perturb/filler.ts): cubes made in an engine's tensors.
#include "engine/cube_filler.h"

#include <napi.h>

#include <algorithm>
#include <memory>

#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/cube_requests.h"
#include "binding/objects.h"
#include "binding/rooms.h"

namespace semgen::binding {

namespace {

size_t byteCount(const Napi::Value &value, const char *name) {
  const double bytes = number(value, name);
  if (bytes < 0) throw Error("BAD_OPTION", std::string(name) + " must be at least 0.");
  return size_t(std::min(bytes, 0x1p53));
}

/// new CubeFiller(engine, scans, residentBytes, batchBytes, threads)
class CubeFillerObject : public Napi::ObjectWrap<CubeFillerObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "CubeFiller",
                       {InstanceMethod("fill", &CubeFillerObject::fill),
                        InstanceMethod("residentBytes", &CubeFillerObject::residentBytes),
                        InstanceMethod("release", &CubeFillerObject::release)});
  }
  explicit CubeFillerObject(const Napi::CallbackInfo &info) : ObjectWrap(info) {
    guarded(info.Env(), [&] {
      Napi::Array kept = Napi::Array::New(info.Env());
      const Napi::Array given = list(info[1], "scans");
      CubeFillerOptions options;
      for (uint32_t i = 0; i < given.Length(); i++) {
        const Napi::HandleScope scope(info.Env());
        options.scans.push_back(semgen::binding::scan(object(given.Get(i), "scan"), kept));
      }
      options.residentBytes = byteCount(info[2], "residentBytes");
      options.batchBytes = byteCount(info[3], "batchBytes");
      options.threads = threadCount(info[4]);
      auto engine = engineOf(info[0]);
      auto filler = engine->cubeFiller(options);
      // Together, in the order of their ends: the filler before the engine.
      state_ = std::make_shared<State>(State{std::move(engine), std::move(filler)});
      scans_ = Napi::Persistent(kept.As<Napi::Object>());
    });
  }

 private:
  struct State {
    std::shared_ptr<Engine> engine;
    std::unique_ptr<CubeFiller> filler;
  };

  CubeFiller &filler() {
    if (!state_) throw Error("NATIVE", "A cube filler was used after it was disposed of.");
    return *state_->filler;
  }

  /// fill(requests, shape, original, perturbed?): a promise that settles when the cubes are in the tensors.
  Napi::Value fill(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
      filler();
      Napi::Array kept = Napi::Array::New(env);
      auto requests = cubeRequests(info[0], kept);
      const Extents shape = extents(info[1], "shape");
      std::shared_ptr<Tensor> original = tensorOf(info[2]), perturbed;
      if (!info[3].IsUndefined()) perturbed = tensorOf(info[3]);
      kept.Set(kept.Length(), Value());  // and with it the scans that it keeps
      auto alive = std::make_shared<Napi::ObjectReference>(Napi::Persistent(kept.As<Napi::Object>()));
      return AsyncTask::start(
          env, [=, state = state_] { state->filler->fill(*requests, shape, *original, perturbed.get()); },
          [alive](Napi::Env settled) { return settled.Undefined(); });
    });
  }
  Napi::Value residentBytes(const Napi::CallbackInfo &info) {
    return guarded(info.Env(),
                   [&]() -> Napi::Value { return Napi::Number::New(info.Env(), double(filler().residentBytes())); });
  }
  /// A fill under way ends first.
  void release(const Napi::CallbackInfo &) { state_.reset(); }

  std::shared_ptr<State> state_;
  Napi::ObjectReference scans_;
};

}  // namespace

void registerCubeFiller(Napi::Env env, Napi::Object exports) {
  exports.Set("CubeFiller", CubeFillerObject::define(env));
}

}  // namespace semgen::binding
