// Patches for supervised tasks: cut from the channels of a case by any affine map, and with them what is to be
// predicted.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "engine/host/cubes_resample.h"

namespace semgen {

struct PatchRequest {
  std::vector<ScanView> channels;  // of one case, on one grid
  const uint8_t *labels;           // one a voxel, on the same grid; null where nothing is to be predicted
  /// Three rows of four: voxel (x, y, z, 1) of the patch -> voxel of the scan. Whole shifts copy; else images are
  /// interpolated linearly, and labels taken from the nearest voxel.
  std::array<double, 12> place;
  double gain, offset;  // an intensity v of [0, 1] becomes gain * v + offset; outside of the scan it stays 0
};

/// Fills `input` (requests, shape, channels) with intensities and `target` (requests, shape, outputs), unless it is
/// null, with 1 where bit `output` of codes[label] is set, else 0. Outside of the scan both are 0. The number of
/// threads changes no bit.
/// @throws Error BAD_OPTION when a request or a shape cannot be used; nothing is written then.
void fillPatches(const std::vector<PatchRequest> &requests, const Extents &shape,
                 const std::array<uint32_t, 256> &codes, int64_t outputs, float *input, float *target, int threads);

}  // namespace semgen
