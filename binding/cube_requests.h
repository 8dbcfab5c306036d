// Cube requests as JavaScript gives them (src/perturb/cubes.ts).
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "engine/host/cubes.h"

namespace semgen::binding {

/// Checked for their types alone. `kept` gets the scans' arrays, to be held until the work is done.
/// @throws Error BAD_OPTION
std::shared_ptr<std::vector<CubeRequest>> cubeRequests(const Napi::Value &value, Napi::Array &kept);

}  // namespace semgen::binding
