// The rooms of the addon, one register function each, in the file of the same name.
#pragma once
#include <napi.h>

namespace semgen::binding {

inline void registerRooms(Napi::Env, Napi::Object) {}

}  // namespace semgen::binding
