// Patches of supervised tasks: JavaScript requests in (src/transfer/patches.ts), engine/host/patches.h called.
#include "engine/host/patches.h"

#include <napi.h>

#include <memory>

#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/rooms.h"

namespace semgen::binding {

namespace {

const uint8_t *labels(const Napi::Value &value, const Extents &shape, Napi::Array &kept) {
  if (value.IsUndefined()) return nullptr;
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array ||
      static_cast<int64_t>(value.As<Napi::TypedArray>().ElementLength()) != shape[0] * shape[1] * shape[2])
    throw Error("BAD_OPTION", "A case's labels must be a Uint8Array of one label a voxel.");
  kept.Set(kept.Length(), value);
  return value.As<Napi::Uint8Array>().Data();
}

/// fillPatches(requests, shape, codes, outputs, input, target?, threads)
Napi::Value fillPatchesAsync(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Napi::Array kept = Napi::Array::New(env);
    const Napi::Array given = list(info[0], "requests");
    const Extents shape = extents(info[1], "shape");
    validateShape(shape);
    const auto codes = tuple<uint32_t, 256>(info[2], "codes", word);
    const int64_t outputs = whole(info[3], "outputs");
    auto requests = std::make_shared<std::vector<PatchRequest>>();
    for (uint32_t i = 0; i < given.Length(); i++) {
      const Napi::HandleScope scope(env);
      const Napi::Object request = object(given.Get(i), "a request");
      PatchRequest &last = requests->emplace_back();
      const Napi::Array channels = list(request.Get("channels"), "channels");
      for (uint32_t c = 0; c < channels.Length(); c++)
        last.channels.push_back(scan(object(channels.Get(c), "a channel"), kept));
      if (last.channels.empty() || last.channels.size() != requests->front().channels.size())
        throw Error("BAD_OPTION", "The patches of a batch must have as many channels each, one at least.");
      last.labels = labels(request.Get("labels"), last.channels[0].shape, kept);
      last.place = tuple<double, 12>(request.Get("place"), "place", number);
      last.gain = number(request.Get("gain"), "gain");
      last.offset = number(request.Get("offset"), "offset");
    }
    const int64_t voxels = int64_t{given.Length()} * shape[0] * shape[1] * shape[2];
    const auto channels = requests->empty() ? 0 : static_cast<int64_t>(requests->front().channels.size());
    if (outputs < 0 || outputs > 32) throw Error("BAD_OPTION", "A task has at most 32 outputs.");
    float *input = floats(info[4], voxels * channels, "input", kept);
    float *target = info[5].IsUndefined() ? nullptr : floats(info[5], voxels * outputs, "target", kept);
    const int threads = threadCount(info[6]);
    auto alive = std::make_shared<Napi::ObjectReference>(Napi::Persistent(kept.As<Napi::Object>()));
    return AsyncTask::start(
        env, [=] { fillPatches(*requests, shape, codes, outputs, input, target, threads); },
        [alive](Napi::Env settled) { return settled.Undefined(); });
  });
}

}  // namespace

void registerPatches(Napi::Env env, Napi::Object exports) {
  exports.Set("fillPatches", Napi::Function::New(env, fillPatchesAsync, "fillPatches"));
}

}  // namespace semgen::binding
