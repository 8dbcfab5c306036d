#include "engine/host/cubes.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "engine/error.h"
#include "engine/host/parallel.h"

namespace semgen {

namespace {

constexpr int64_t kMostVoxels = int64_t{1} << 30;
constexpr int64_t kLongestSide = 1 << 15;
constexpr int64_t kFarthest = 1 << 30;  // voxels from the scan's first

struct Scratch {
  Resampling::Scratch resampling;
  PerturbScratch perturbing;
};

void validateRequest(const CubeRequest &request, const Extents &shape) {
  for (int axis = 0; axis < 3; axis++) {
    if (request.size[axis] < 1 || request.size[axis] > kLongestSide)
      throw Error("BAD_OPTION", "A crop must be 1 to 32768 voxels a side, but is " + describe(request.size) + ".");
    if (std::abs(request.start[axis]) > kFarthest)
      throw Error("BAD_OPTION",
                  "A crop must start within 2^30 voxels of its scan, but starts at " + describe(request.start) + ".");
  }
  if (request.perturbation) validate(*request.perturbation, shape);
}

}  // namespace

void validateShape(const Extents &shape) {
  bool fits = true;
  for (int64_t extent : shape) fits = fits && extent >= 1 && extent <= kLongestSide;
  if (!fits || shape[0] * shape[1] * shape[2] > kMostVoxels)
    throw Error("BAD_OPTION", "A cube must have 1 to 32768 voxels a side and at most 2^30 in all, but " +
                                  describe(shape) + " was asked for.");
}

void validate(const std::vector<CubeRequest> &requests, const Extents &shape) {
  validateShape(shape);
  for (const CubeRequest &request : requests) validateRequest(request, shape);
}

void fillCubes(const std::vector<CubeRequest> &requests, const Extents &shape, float *original, float *perturbed,
               int threads) {
  validate(requests, shape);
  // Most boxes of a batch have one size: their weights are made once.
  std::map<Extents, Resampling> resamplings;
  for (const CubeRequest &request : requests) resamplings.try_emplace(request.size, request.size, shape);
  const int64_t voxels = shape[0] * shape[1] * shape[2];
  std::vector<Scratch> scratches(static_cast<size_t>(std::max(threads, 1)));
  parallelFor(static_cast<int64_t>(requests.size()), threads, [&](int64_t piece, int worker) {
    Scratch &scratch = scratches[static_cast<size_t>(worker)];
    const CubeRequest &request = requests[static_cast<size_t>(piece)];
    float *target = original + piece * voxels;
    resamplings.at(request.size).run(request.scan, request.start, 0, shape[0], target, scratch.resampling);
    if (request.perturbation) flip(request.perturbation->flips, shape, target);
    if (!perturbed) return;
    std::copy_n(target, voxels, perturbed + piece * voxels);
    if (request.perturbation) perturb(*request.perturbation, shape, perturbed + piece * voxels, scratch.perturbing);
  });
}

void resizeScan(const ScanView &scan, const Extents &shape, float *out, int threads) {
  validateShape(shape);
  const CubeRequest whole{scan, {0, 0, 0}, scan.shape, std::nullopt};
  validateRequest(whole, shape);
  const Resampling resampling(scan.shape, shape);
  const int64_t slabs = std::clamp<int64_t>(threads, 1, shape[0]);
  parallelFor(slabs, threads, [&](int64_t slab, int) {
    Resampling::Scratch scratch;
    const int64_t from = shape[0] * slab / slabs, to = shape[0] * (slab + 1) / slabs;
    resampling.run(scan, whole.start, from, to, out + from * shape[1] * shape[2], scratch);
  });
}

}  // namespace semgen
