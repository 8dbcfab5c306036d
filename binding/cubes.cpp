// Cubes and their perturbations: JavaScript requests in (src/perturb/cubes.ts), engine/host/cubes.h called.
#include "engine/host/cubes.h"

#include <napi.h>

#include <cmath>
#include <memory>

#include "binding/async.h"
#include "binding/rooms.h"

namespace semgen::binding {

namespace {

double number(const Napi::Value &value, const char *name) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!std::isfinite(number)) throw Error("BAD_OPTION", std::string(name) + " must be a finite number.");
  return number;
}

int64_t whole(const Napi::Value &value, const char *name) {
  const double given = number(value, name);
  if (given != std::floor(given) || std::abs(given) > 0x1p53)
    throw Error("BAD_OPTION", std::string(name) + " must be a whole number, but is " + std::to_string(given) + ".");
  return static_cast<int64_t>(given);
}

bool flag(const Napi::Value &value, const char *name) {
  if (!value.IsBoolean()) throw Error("BAD_OPTION", std::string(name) + " must be true or false.");
  return value.As<Napi::Boolean>().Value();
}

Napi::Object object(const Napi::Value &value, const char *name) {
  if (!value.IsObject()) throw Error("BAD_OPTION", std::string(name) + " must be an object.");
  return value.As<Napi::Object>();
}

Napi::Array list(const Napi::Value &value, const char *name) {
  if (!value.IsArray()) throw Error("BAD_OPTION", std::string(name) + " must be a list.");
  return value.As<Napi::Array>();
}

/// Exactly N elements, each through `read`.
template <class T, size_t N, class Read>
std::array<T, N> tuple(const Napi::Value &value, const char *name, Read read) {
  const Napi::Array items = list(value, name);
  if (items.Length() != N)
    throw Error("BAD_OPTION", std::string(name) + " must have " + std::to_string(N) + " elements.");
  std::array<T, N> result;
  for (uint32_t i = 0; i < N; i++) result[i] = static_cast<T>(read(items.Get(i), name));
  return result;
}

uint32_t word(const Napi::Value &value, const char *name) {
  const int64_t given = whole(value, name);
  if (given < 0 || given > UINT32_MAX) throw Error("BAD_OPTION", std::string(name) + " must be of 32-bit words.");
  return static_cast<uint32_t>(given);
}

Extents extents(const Napi::Value &value, const char *name) { return tuple<int64_t, 3>(value, name, whole); }

PhiloxStream stream(const Napi::Value &value) {
  const Napi::Object given = object(value, "a random stream");
  return {tuple<uint32_t, 2>(given.Get("key"), "key", word), tuple<uint32_t, 3>(given.Get("counter"), "counter", word)};
}

std::vector<Block> blocks(const Napi::Value &value) {
  const Napi::Array items = list(value, "blocks");
  std::vector<Block> result;
  for (uint32_t i = 0; i < items.Length(); i++) {
    const Napi::Object given = object(items.Get(i), "a block");
    result.push_back({extents(given.Get("start"), "start"), extents(given.Get("size"), "size")});
  }
  return result;
}

PerturbationStep step(const Napi::Object &given) {
  const Napi::Value name = given.Get("kind");
  const std::string kind = name.IsString() ? name.As<Napi::String>().Utf8Value() : "";
  if (kind == "elastic")
    return Elastic{tuple<double, 3>(given.Get("sigma"), "sigma", number),
                   tuple<double, 2>(given.Get("alpha"), "alpha", number), stream(given.Get("noise"))};
  if (kind == "shuffling")
    return Shuffle{whole(given.Get("blocks"), "blocks"), extents(given.Get("largest"), "largest"),
                   stream(given.Get("draws"))};
  if (kind == "nonlinear")
    return Nonlinear{tuple<double, 2>(given.Get("x"), "x", number), tuple<double, 2>(given.Get("y"), "y", number),
                     flag(given.Get("inverted"), "inverted")};
  if (kind == "inpainting" || kind == "outpainting")
    return Paint{blocks(given.Get("blocks")), kind == "outpainting", stream(given.Get("noise"))};
  if (kind == "rotation") return Rotate{whole(given.Get("quarterTurns"), "quarterTurns")};
  throw Error("BAD_OPTION", "A perturbation has no step named \"" + kind + "\".");
}

Perturbation perturbation(const Napi::Object &given) {
  Perturbation result;
  result.flips = tuple<bool, 3>(given.Get("flips"), "flips", flag);
  const Napi::Array steps = list(given.Get("steps"), "steps");
  for (uint32_t i = 0; i < steps.Length(); i++) result.steps.push_back(step(object(steps.Get(i), "a step")));
  return result;
}

/// A scan's voxels, checked against its shape. `kept` holds them until the work is done.
ScanView scan(const Napi::Object &given, Napi::Array &kept) {
  const Napi::Value voxels = given.Get("voxels");
  if (!voxels.IsTypedArray() || voxels.As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array)
    throw Error("BAD_OPTION", "A scan's voxels must be a Uint16Array.");
  const auto array = voxels.As<Napi::Uint16Array>();
  const Extents shape = extents(given.Get("shape"), "shape");
  double count = 1;
  for (int64_t extent : shape) count *= static_cast<double>(extent);
  if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1 || count != static_cast<double>(array.ElementLength()))
    throw Error("BAD_OPTION", "A scan of " + std::to_string(shape[0]) + " x " + std::to_string(shape[1]) + " x " +
                                  std::to_string(shape[2]) + " voxels came with " +
                                  std::to_string(array.ElementLength()) + ".");
  kept.Set(kept.Length(), voxels);
  return {array.Data(), shape};
}

float *floats(const Napi::Value &value, int64_t count, const char *name, Napi::Array &kept) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array ||
      static_cast<int64_t>(value.As<Napi::TypedArray>().ElementLength()) < count)
    throw Error("BAD_OPTION",
                std::string(name) + " must be a Float32Array of at least " + std::to_string(count) + " elements.");
  kept.Set(kept.Length(), value);
  return value.As<Napi::Float32Array>().Data();
}

int threadCount(const Napi::Value &value) {
  const int64_t threads = whole(value, "threads");
  if (threads < 1 || threads > 1024)
    throw Error("BAD_OPTION", "threads must be from 1 to 1024, but is " + std::to_string(threads) + ".");
  return static_cast<int>(threads);
}

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
    auto requests = std::make_shared<std::vector<CubeRequest>>();
    for (uint32_t i = 0; i < given.Length(); i++) {
      const Napi::HandleScope scope(env);
      const Napi::Object request = object(given.Get(i), "a request");
      CubeRequest &last = requests->emplace_back();
      last.scan = scan(object(request.Get("scan"), "scan"), kept);
      last.start = extents(request.Get("start"), "start");
      last.size = extents(request.Get("size"), "size");
      const Napi::Value drawn = request.Get("perturbation");
      if (!drawn.IsUndefined()) last.perturbation = perturbation(object(drawn, "perturbation"));
    }
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
