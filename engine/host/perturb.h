// The perturbations of Semantic Genesis and Models Genesis, applied to one cube of float32 voxels in [0, 1].
// What is applied was drawn before (src/perturb/draw.ts); here nothing is random but the streams a draw names.
// Cubes are (x, y, z), z fastest.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/host/philox.h"

namespace semgen {

using Extents = std::array<int64_t, 3>;

/// As people write it: "64 x 64 x 32".
std::string describe(const Extents &extents);

struct Block {
  Extents start, size;
};

/// Elastic deformation in x and y: each displacement is uniform noise in [-1, 1], one number a voxel, smoothed in all
/// three directions (standard deviations `sigma`, in voxels; zero outside the cube), times `alpha`. Linear
/// interpolation, mirrored at the border. The noise of y follows that of x in the stream, from the next whole block.
struct Elastic {
  std::array<double, 3> sigma;
  std::array<double, 2> alpha;
  PhiloxStream noise;
};

/// Local shuffling: `blocks` times, a block of 1 .. `largest` voxels a side, anywhere in the cube, gets its own values
/// in another order. Values come from the cube before any shuffling, so none moves further than one block.
struct Shuffle {
  int64_t blocks;
  Extents largest;
  PhiloxStream draws;
};

/// Intensities through the cubic Bezier curve of (0,0), two points and (1,1); inverted: through the falling curve whose
/// ordinates are those in reverse.
struct Nonlinear {
  std::array<double, 2> x, y;
  bool inverted;
};

/// Uniform noise in [0, 1) inside the blocks, or outside all of them. A voxel's noise is the stream's number of its
/// index.
struct Paint {
  std::vector<Block> blocks;
  bool outside;
  PhiloxStream noise;
};

/// Quarter turns in the x-y plane, as numpy.rot90(cube, quarterTurns, (0, 1)).
struct Rotate {
  int64_t quarterTurns;
};

using PerturbationStep = std::variant<Elastic, Shuffle, Nonlinear, Paint, Rotate>;

struct Perturbation {
  /// Axes that are mirrored, in the original as well: a flip is no damage to be repaired.
  std::array<bool, 3> flips{};
  std::vector<PerturbationStep> steps;
};

/// Reusable memory of one thread.
struct PerturbScratch {
  std::vector<float> first, second, third, lines;
};

/// Checks every number of a perturbation against the cube it is for.
/// @throws Error BAD_OPTION with the number that does not fit.
void validate(const Perturbation &perturbation, const Extents &shape);

/// Mirrors a cube along the axes set in `flips`, in place.
void flip(const std::array<bool, 3> &flips, const Extents &shape, float *cube);

/// Applies the steps (not the flips) in order, in place. The perturbation must have been validated for this shape.
void perturb(const Perturbation &perturbation, const Extents &shape, float *cube, PerturbScratch &scratch);

/// One step each, in place.
void apply(const Elastic &step, const Extents &shape, float *cube, PerturbScratch &scratch);
void apply(const Shuffle &step, const Extents &shape, float *cube, PerturbScratch &scratch);
void apply(const Nonlinear &step, const Extents &shape, float *cube, PerturbScratch &scratch);
void apply(const Paint &step, const Extents &shape, float *cube, PerturbScratch &scratch);
void apply(const Rotate &step, const Extents &shape, float *cube, PerturbScratch &scratch);

}  // namespace semgen
