// Training cubes out of prepared scans: cut, resized, perturbed, on several threads.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/host/cubes_resample.h"
#include "engine/host/perturb.h"

namespace semgen {

struct CubeRequest {
  ScanView scan;
  Extents start, size;  // of the box in the scan, in voxels; it may reach over the scan's border
  std::optional<Perturbation> perturbation;
};

/// Fills `original` (requests, shape) with the boxes brought to `shape`, and `perturbed`, unless it is null, with the
/// same after each one's perturbation. The number of threads changes no bit.
/// @throws Error BAD_OPTION when a box, a perturbation or a shape cannot be used; nothing is written then.
void fillCubes(const std::vector<CubeRequest> &requests, const Extents &shape, float *original, float *perturbed,
               int threads);

/// The whole scan brought to `shape`.
/// @throws Error BAD_OPTION as above.
void resizeScan(const ScanView &scan, const Extents &shape, float *out, int threads);

/// Checks requests and the shape they are brought to.
/// @throws Error BAD_OPTION
void validate(const std::vector<CubeRequest> &requests, const Extents &shape);

/// Checks a shape: no side without voxels, and few enough of them for 32-bit indices.
/// @throws Error BAD_OPTION
void validateShape(const Extents &shape);

}  // namespace semgen
