// Training cubes by the host's own data path (engine/host/cubes.h).
#pragma once
#include <memory>

#include "engine/cube_filler.h"

namespace semgen::cpu {

std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options);

}  // namespace semgen::cpu
