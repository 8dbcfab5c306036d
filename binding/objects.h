// What the engine's JavaScript objects hold, for the rooms that take such objects.
#pragma once
#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace semgen::binding {

std::shared_ptr<Engine> engineOf(const Napi::Value &value);
std::shared_ptr<Tensor> tensorOf(const Napi::Value &value);

}  // namespace semgen::binding
