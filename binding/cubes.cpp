// Cubes and their perturbations: JavaScript requests in (src/perturb/cubes.ts), engine/host/cubes.h called.
#include "engine/host/cubes.h"

#include <napi.h>

#include <memory>

#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/cube_requests.h"
#include "binding/rooms.h"

namespace semgen::binding {

namespace {

Napi::Value fillCubesAsync(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Napi::Array kept = Napi::Array::New(env);
    const Napi::Array given = list(info[0], "requests");
    const Extents shape = extents(info[1], "shape");
    validateShape(shape);
    const int64_t count = int64_t{given.Length()} * shape[0] * shape[1] * shape[2];
    float *original = floats(info[2], count, "original", kept);
    float *perturbed = info[3].IsUndefined() ? nullptr : floats(info[3], count, "perturbed", kept);
    const int threads = threadCount(info[4]);
    auto requests = cubeRequests(given, kept);
    auto alive = std::make_shared<Napi::ObjectReference>(Napi::Persistent(kept.As<Napi::Object>()));
    return AsyncTask::start(
        env, [=] { fillCubes(*requests, shape, original, perturbed, threads); },
        [alive](Napi::Env settled) { return settled.Undefined(); });
  });
}

Napi::Value resizeScanAsync(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Napi::Array kept = Napi::Array::New(env);
    const ScanView view = scan(object(info[0], "scan"), kept);
    const Extents shape = extents(info[1], "shape");
    validateShape(shape);
    const int threads = threadCount(info[2]);
    auto resized = Napi::Float32Array::New(env, static_cast<size_t>(shape[0] * shape[1] * shape[2]));
    float *out = resized.Data();
    kept.Set("resized", resized);
    auto alive = std::make_shared<Napi::ObjectReference>(Napi::Persistent(kept.As<Napi::Object>()));
    return AsyncTask::start(
        env, [=] { resizeScan(view, shape, out, threads); },
        [alive](Napi::Env) { return alive->Value().Get("resized"); });
  });
}

}  // namespace

void registerCubes(Napi::Env env, Napi::Object exports) {
  exports.Set("fillCubes", Napi::Function::New(env, fillCubesAsync, "fillCubes"));
  exports.Set("resizeScan", Napi::Function::New(env, resizeScanAsync, "resizeScan"));
}

}  // namespace semgen::binding
