// What JavaScript hands in, checked: every function throws Error BAD_OPTION in the name of the argument.
#pragma once
#include <napi.h>

#include <array>
#include <cmath>
#include <string>

#include "engine/error.h"
#include "engine/host/cubes.h"

namespace semgen::binding {

inline double number(const Napi::Value &value, const char *name) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!std::isfinite(number)) throw Error("BAD_OPTION", std::string(name) + " must be a finite number.");
  return number;
}

inline int64_t whole(const Napi::Value &value, const char *name) {
  const double given = number(value, name);
  if (given != std::floor(given) || std::abs(given) > 0x1p53)
    throw Error("BAD_OPTION", std::string(name) + " must be a whole number, but is " + std::to_string(given) + ".");
  return static_cast<int64_t>(given);
}

inline bool flag(const Napi::Value &value, const char *name) {
  if (!value.IsBoolean()) throw Error("BAD_OPTION", std::string(name) + " must be true or false.");
  return value.As<Napi::Boolean>().Value();
}

inline Napi::Object object(const Napi::Value &value, const char *name) {
  if (!value.IsObject()) throw Error("BAD_OPTION", std::string(name) + " must be an object.");
  return value.As<Napi::Object>();
}

inline Napi::Array list(const Napi::Value &value, const char *name) {
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

inline uint32_t word(const Napi::Value &value, const char *name) {
  const int64_t given = whole(value, name);
  if (given < 0 || given > UINT32_MAX) throw Error("BAD_OPTION", std::string(name) + " must be of 32-bit words.");
  return static_cast<uint32_t>(given);
}

inline Extents extents(const Napi::Value &value, const char *name) { return tuple<int64_t, 3>(value, name, whole); }

/// A scan's voxels, checked against its shape. `kept` holds them until the work is done.
inline ScanView scan(const Napi::Object &given, Napi::Array &kept) {
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

inline float *floats(const Napi::Value &value, int64_t count, const char *name, Napi::Array &kept) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array ||
      static_cast<int64_t>(value.As<Napi::TypedArray>().ElementLength()) < count)
    throw Error("BAD_OPTION",
                std::string(name) + " must be a Float32Array of at least " + std::to_string(count) + " elements.");
  kept.Set(kept.Length(), value);
  return value.As<Napi::Float32Array>().Data();
}

inline int threadCount(const Napi::Value &value) {
  const int64_t threads = whole(value, "threads");
  if (threads < 1 || threads > 1024)
    throw Error("BAD_OPTION", "threads must be from 1 to 1024, but is " + std::to_string(threads) + ".");
  return static_cast<int>(threads);
}

}  // namespace semgen::binding
