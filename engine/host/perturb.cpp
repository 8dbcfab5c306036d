#include "engine/host/perturb.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/error.h"
#include "engine/host/clones.h"
#include "engine/host/perturb_noise.h"

namespace semgen {

namespace {

constexpr double kLargestSigma = 1024;
constexpr double kLargestAlpha = 1e6;
constexpr int64_t kMostBlocks = 10'000'000;

void require(bool condition, const std::string &message) {
  if (!condition) throw Error("BAD_OPTION", message);
}

void check(const Elastic &step, const Extents &) {
  for (double sigma : step.sigma)
    require(sigma >= 0 && sigma <= kLargestSigma,
            "An elastic sigma must be from 0 to 1024 voxels, but is " + std::to_string(sigma) + ".");
  for (double alpha : step.alpha)
    require(std::abs(alpha) <= kLargestAlpha,
            "An elastic alpha must be at most 1000000, but is " + std::to_string(alpha) + ".");
}

void check(const Shuffle &step, const Extents &shape) {
  require(step.blocks >= 0 && step.blocks <= kMostBlocks,
          "Shuffled blocks must number from 0 to 10000000, but are " + std::to_string(step.blocks) + ".");
  for (int axis = 0; axis < 3; axis++)
    require(step.largest[axis] >= 1 && step.largest[axis] <= shape[axis],
            "The largest block to shuffle, " + describe(step.largest) + ", does not fit a cube of " + describe(shape) +
                " voxels.");
}

void check(const Nonlinear &step, const Extents &) {
  for (double value : {step.x[0], step.x[1], step.y[0], step.y[1]})
    require(value >= 0 && value <= 1,
            "A point of the intensity curve must lie in [0, 1], but is at " + std::to_string(value) + ".");
}

void check(const Paint &step, const Extents &shape) {
  for (const Block &block : step.blocks)
    for (int axis = 0; axis < 3; axis++)
      require(block.start[axis] >= 0 && block.size[axis] >= 1 && block.size[axis] <= shape[axis] &&
                  block.start[axis] <= shape[axis] - block.size[axis],
              "A painted block of " + describe(block.size) + " voxels at " + describe(block.start) +
                  " does not lie within a cube of " + describe(shape) + ".");
}

void check(const Rotate &step, const Extents &shape) {
  require(step.quarterTurns >= 0 && step.quarterTurns <= 3,
          "Quarter turns must number from 0 to 3, but are " + std::to_string(step.quarterTurns) + ".");
  require(step.quarterTurns % 2 == 0 || shape[0] == shape[1],
          "A cube of " + describe(shape) + " voxels cannot be turned by a quarter: it must be as wide in x as in y.");
}

/// Writes the values of one block of `from`, in another order (Fisher and Yates), to the same block of `to`.
void shuffleBlock(const Block &block, const Extents &shape, const float *from, float *to, PhiloxReader &draws,
                  std::vector<float> &window) {
  const auto [X, Y, Z] = block.size;
  const int64_t strideX = shape[1] * shape[2], strideY = shape[2];
  const int64_t offset = block.start[0] * strideX + block.start[1] * strideY + block.start[2];
  window.resize(static_cast<size_t>(X * Y * Z));
  float *value = window.data();
  for (int64_t x = 0; x < X; x++)
    for (int64_t y = 0; y < Y; y++, value += Z) std::copy_n(from + offset + x * strideX + y * strideY, Z, value);
  for (int64_t i = X * Y * Z - 1; i > 0; i--)
    std::swap(window[static_cast<size_t>(i)], window[static_cast<size_t>(draws.integer(0, i + 1))]);
  value = window.data();
  for (int64_t x = 0; x < X; x++)
    for (int64_t y = 0; y < Y; y++, value += Z) std::copy_n(value, Z, to + offset + x * strideX + y * strideY);
}

/// y of the Bezier curve where its x equals each value, by bisection of the parameter: x only rises with it, since the
/// points' abscissae lie in [0, 1]. 24 halvings exhaust a float32. All terms are sums of what is not negative: nothing
/// cancels, so that neighbouring values stay in order.
SEMGEN_CLONES
void throughCurve(const std::array<float, 2> &x, const std::array<float, 4> &y, float *values, int64_t count) {
  const float x1 = 3 * x[0], x2 = 3 * x[1];
  const float y0 = y[0], y1 = 3 * y[1], y2 = 3 * y[2], y3 = y[3];
  for (int64_t start = 0; start < count; start += kLanes) {
    const int64_t lanes = std::min(kLanes, count - start);
    Lanes value{}, t{};
    std::memcpy(&value, values + start, static_cast<size_t>(lanes) * sizeof(float));
    float step = 0.5f;
    for (int halving = 0; halving < 24; halving++, step *= 0.5f) {
      const Lanes further = t + step, s = 1.0f - further;
      const Lanes reached = further * (s * (s * x1 + further * x2) + further * further);
      t = reached <= value ? further : t;
    }
    const Lanes s = 1.0f - t, zero{};
    Lanes reached = s * s * (s * y0 + t * y1) + t * t * (s * y2 + t * y3);
    reached = reached < 0.0f ? zero : reached;
    reached = reached > 1.0f ? zero + 1.0f : reached;
    storeLanes(values + start, reached, lanes);
  }
}

}  // namespace

std::string describe(const Extents &extents) {
  return std::to_string(extents[0]) + " x " + std::to_string(extents[1]) + " x " + std::to_string(extents[2]);
}

void validate(const Perturbation &perturbation, const Extents &shape) {
  for (const PerturbationStep &step : perturbation.steps)
    std::visit([&](const auto &known) { check(known, shape); }, step);
}

void flip(const std::array<bool, 3> &flips, const Extents &shape, float *cube) {
  const auto [X, Y, Z] = shape;
  const int64_t plane = Y * Z;
  if (flips[0])
    for (int64_t x = 0; x < X / 2; x++)
      std::swap_ranges(cube + x * plane, cube + (x + 1) * plane, cube + (X - 1 - x) * plane);
  if (flips[1])
    for (int64_t x = 0; x < X; x++)
      for (int64_t y = 0; y < Y / 2; y++) {
        float *row = cube + x * plane + y * Z;
        std::swap_ranges(row, row + Z, cube + x * plane + (Y - 1 - y) * Z);
      }
  if (flips[2])
    for (int64_t row = 0; row < X * Y; row++) std::reverse(cube + row * Z, cube + (row + 1) * Z);
}

void perturb(const Perturbation &perturbation, const Extents &shape, float *cube, PerturbScratch &scratch) {
  for (const PerturbationStep &step : perturbation.steps)
    std::visit([&](const auto &known) { apply(known, shape, cube, scratch); }, step);
}

void apply(const Shuffle &step, const Extents &shape, float *cube, PerturbScratch &scratch) {
  scratch.first.assign(cube, cube + shape[0] * shape[1] * shape[2]);
  PhiloxReader draws(step.draws);
  for (int64_t i = 0; i < step.blocks; i++) {
    Block block;
    for (int axis = 0; axis < 3; axis++) block.size[axis] = draws.integer(1, step.largest[axis] + 1);
    for (int axis = 0; axis < 3; axis++) block.start[axis] = draws.integer(0, shape[axis] - block.size[axis] + 1);
    shuffleBlock(block, shape, scratch.first.data(), cube, draws, scratch.lines);
  }
}

void apply(const Nonlinear &step, const Extents &shape, float *cube, PerturbScratch &) {
  std::array<float, 2> x;
  std::array<float, 2> y;
  for (int point = 0; point < 2; point++) {
    x[point] = static_cast<float>(step.x[point]);
    y[point] = static_cast<float>(step.y[step.inverted ? 1 - point : point]);
  }
  const float first = step.inverted ? 1.0f : 0.0f;
  throughCurve(x, {first, y[0], y[1], 1.0f - first}, cube, shape[0] * shape[1] * shape[2]);
}

void apply(const Paint &step, const Extents &shape, float *cube, PerturbScratch &scratch) {
  const size_t voxels = static_cast<size_t>(shape[0] * shape[1] * shape[2]);
  scratch.first.resize(voxels);
  float *noise = scratch.first.data();
  fillUniform(step.noise, 0, 0.0f, 1.0f, noise, voxels);
  // Inside: noise goes into the blocks of the cube. Outside: the blocks of the cube go into the noise.
  const float *from = step.outside ? cube : noise;
  float *to = step.outside ? noise : cube;
  for (const Block &block : step.blocks)
    for (int64_t x = block.start[0]; x < block.start[0] + block.size[0]; x++)
      for (int64_t y = block.start[1]; y < block.start[1] + block.size[1]; y++) {
        const int64_t offset = (x * shape[1] + y) * shape[2] + block.start[2];
        std::copy_n(from + offset, block.size[2], to + offset);
      }
  if (step.outside) std::copy_n(noise, voxels, cube);
}

void apply(const Rotate &step, const Extents &shape, float *cube, PerturbScratch &scratch) {
  if (step.quarterTurns == 0) return;
  if (step.quarterTurns == 2) return flip({true, true, false}, shape, cube);
  const auto [X, Y, Z] = shape;
  scratch.first.assign(cube, cube + X * Y * Z);
  for (int64_t x = 0; x < X; x++)
    for (int64_t y = 0; y < Y; y++) {
      const int64_t source = step.quarterTurns == 1 ? y * Y + (X - 1 - x) : (Y - 1 - y) * Y + x;
      std::copy_n(scratch.first.data() + source * Z, Z, cube + (x * Y + y) * Z);
    }
}

}  // namespace semgen
