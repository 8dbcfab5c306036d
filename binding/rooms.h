// The rooms of the addon, one register function each, in the file of the same name.
#pragma once
#include <napi.h>

namespace semgen::binding {

void registerEngine(Napi::Env env, Napi::Object exports);
void registerCubes(Napi::Env env, Napi::Object exports);
void registerCubeFiller(Napi::Env env, Napi::Object exports);
void registerPatches(Napi::Env env, Napi::Object exports);
void registerTiles(Napi::Env env, Napi::Object exports);
void registerVolumes(Napi::Env env, Napi::Object exports);
void registerSimulator(Napi::Env env, Napi::Object exports);

inline void registerRooms(Napi::Env env, Napi::Object exports) {
  registerEngine(env, exports);
  registerCubes(env, exports);
  registerCubeFiller(env, exports);
  registerPatches(env, exports);
  registerTiles(env, exports);
  registerVolumes(env, exports);
  registerSimulator(env, exports);
}

}  // namespace semgen::binding
