// The CUDA engine's way of making training cubes: cut, resized and perturbed on the device.
#pragma once
#include <memory>

#include "engine/cube_filler.h"

namespace semgen::cuda {

std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options, int gpu);

}  // namespace semgen::cuda
