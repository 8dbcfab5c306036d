// Registers what the addon exports. Each register function lives with the room it serves.
#include <napi.h>

#include "binding/leaving.h"
#include "binding/rooms.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("engineName", Napi::String::New(env, SEMGEN_ENGINE_NAME));
  exports.Set("leave", Napi::Function::New(env, semgen::binding::leave));
  semgen::binding::registerRooms(env, exports);
  return exports;
}

NODE_API_MODULE(semgen, init)
