// Files of volumes and their preparation: JavaScript requests in (src/volumes), engine/host called off its thread.
#include <napi.h>

#include "binding/async.h"
#include "binding/rooms.h"
#include "engine/host/scan.h"
#include "engine/host/volume_files.h"

namespace semgen::binding {

namespace {

std::array<int64_t, 3> triple(const Napi::Value &value) {
  auto list = value.As<Napi::Array>();
  std::array<int64_t, 3> result;
  for (uint32_t i = 0; i < 3; ++i) result[i] = list.Get(i).ToNumber().Int64Value();
  return result;
}

/// { data, offset, strides, shape, slope, intercept } as in src/engine/volumes-addon.ts.
RawScan rawScan(const Napi::Value &value) {
  auto object = value.As<Napi::Object>();
  auto data = object.Get("data").As<Napi::TypedArray>();
  VoxelType type;
  switch (data.TypedArrayType()) {
    case napi_uint8_array:
      type = VoxelType::u8;
      break;
    case napi_int8_array:
      type = VoxelType::i8;
      break;
    case napi_uint16_array:
      type = VoxelType::u16;
      break;
    case napi_int16_array:
      type = VoxelType::i16;
      break;
    case napi_uint32_array:
      type = VoxelType::u32;
      break;
    case napi_int32_array:
      type = VoxelType::i32;
      break;
    case napi_float32_array:
      type = VoxelType::f32;
      break;
    case napi_float64_array:
      type = VoxelType::f64;
      break;
    default:
      throw Error("UNSUPPORTED", "A scan's voxels are of a type that cannot be prepared.");
  }
  const void *start = static_cast<const char *>(data.ArrayBuffer().Data()) + data.ByteOffset();
  return {start,
          int64_t(data.ElementLength()),
          type,
          object.Get("offset").ToNumber().Int64Value(),
          triple(object.Get("strides")),
          triple(object.Get("shape")),
          object.Get("slope").ToNumber().DoubleValue(),
          object.Get("intercept").ToNumber().DoubleValue()};
}

/// Keeps a JavaScript value alive while native code reads it.
std::shared_ptr<Napi::ObjectReference> hold(const Napi::Value &value) {
  return std::make_shared<Napi::ObjectReference>(Napi::Persistent(value.As<Napi::Object>()));
}

/// inflateGzip(path, bytes): Promise of an ArrayBuffer.
Napi::Value inflate(const Napi::CallbackInfo &info) {
  auto path = info[0].ToString().Utf8Value();
  auto wanted = size_t(info[1].ToNumber().Int64Value());
  auto bytes = std::make_shared<Bytes>();
  return AsyncTask::start(
      info.Env(), [path, wanted, bytes] { *bytes = inflateGzip(path, wanted); },
      [wanted, bytes](Napi::Env env) -> Napi::Value {
        return Napi::ArrayBuffer::New(env, bytes->release(), wanted, [](Napi::Env, void *memory) { free(memory); });
      });
}

/// mapFile(path): ArrayBuffer, read-only: writing to it ends the process.
Napi::Value mapFile(const Napi::CallbackInfo &info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto *file = new MappedFile(info[0].ToString().Utf8Value());
    return Napi::ArrayBuffer::New(
        info.Env(), const_cast<uint8_t *>(file->data()), file->bytes(),
        [](Napi::Env, void *, MappedFile *file) { delete file; }, file);
  });
}

/// summarizeScan(scan): Promise of { low, high, robustLow, robustHigh, nonFinite, whole }.
Napi::Value summarizeScan(const Napi::CallbackInfo &info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto scan = rawScan(info[0]);
    auto held = hold(info[0]);
    auto summary = std::make_shared<ScanSummary>();
    return AsyncTask::start(
        info.Env(), [scan, summary] { *summary = summarize(scan); },
        [summary, held](Napi::Env env) -> Napi::Value {
          auto result = Napi::Object::New(env);
          result.Set("low", summary->low);
          result.Set("high", summary->high);
          result.Set("robustLow", summary->robustLow);
          result.Set("robustHigh", summary->robustHigh);
          result.Set("nonFinite", double(summary->nonFinite));
          result.Set("whole", summary->whole);
          return result;
        });
  });
}

/// quantizeScan(scan, low, high, into: Uint16Array): Promise of undefined.
Napi::Value quantizeScan(const Napi::CallbackInfo &info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto scan = rawScan(info[0]);
    double low = info[1].ToNumber().DoubleValue(), high = info[2].ToNumber().DoubleValue();
    auto into = info[3].As<Napi::Uint16Array>();
    if (int64_t(into.ElementLength()) != scan.shape[0] * scan.shape[1] * scan.shape[2])
      throw Error("BAD_OPTION", "The array for a prepared scan has another size than the scan.");
    auto heldScan = hold(info[0]), heldTarget = hold(info[3]);
    return AsyncTask::start(
        info.Env(), [scan, low, high, out = into.Data()] { quantize(scan, low, high, out); },
        [heldScan, heldTarget](Napi::Env env) -> Napi::Value { return env.Undefined(); });
  });
}

/// bodyBox(voxels: Uint16Array, shape, threshold): Promise of { low, high }.
Napi::Value findBody(const Napi::CallbackInfo &info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto voxels = info[0].As<Napi::Uint16Array>();
    auto shape = triple(info[1]);
    auto threshold = uint16_t(info[2].ToNumber().Uint32Value());
    if (int64_t(voxels.ElementLength()) != shape[0] * shape[1] * shape[2])
      throw Error("BAD_OPTION", "A prepared scan has another size than its shape says.");
    auto held = hold(info[0]);
    auto box = std::make_shared<std::array<std::array<int64_t, 3>, 2>>();
    return AsyncTask::start(
        info.Env(),
        [data = voxels.Data(), shape, threshold, box] { bodyBox(data, shape, threshold, (*box)[0], (*box)[1]); },
        [box, held](Napi::Env env) -> Napi::Value {
          auto result = Napi::Object::New(env);
          for (int side = 0; side < 2; ++side) {
            auto corner = Napi::Array::New(env, 3);
            for (uint32_t axis = 0; axis < 3; ++axis) corner.Set(axis, double((*box)[size_t(side)][axis]));
            result.Set(side == 0 ? "low" : "high", corner);
          }
          return result;
        });
  });
}

}  // namespace

void registerVolumes(Napi::Env env, Napi::Object exports) {
  exports.Set("inflateGzip", Napi::Function::New(env, inflate));
  exports.Set("mapFile", Napi::Function::New(env, mapFile));
  exports.Set("summarizeScan", Napi::Function::New(env, summarizeScan));
  exports.Set("quantizeScan", Napi::Function::New(env, quantizeScan));
  exports.Set("bodyBox", Napi::Function::New(env, findBody));
}

}  // namespace semgen::binding
