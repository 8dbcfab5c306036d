// The CUDA engine's way of making training cubes: cut, resized and perturbed on the device.
#pragma once
#include <memory>

#include "cuda/spare.h"
#include "engine/cube_filler.h"

namespace semgen::cuda {

/// @param spares of the engine: they get the scans that are kept, and outlive the filler
std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options, int gpu, SpareMemories &spares);

}  // namespace semgen::cuda
