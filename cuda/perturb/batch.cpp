#include "cuda/perturb/batch.h"

#include <algorithm>
#include <tuple>
#include <variant>

#include "engine/host/perturb_smooth.h"

namespace semgen::cuda {

namespace {

/// Whether a step reads the cube at one place and writes it at another: where voxels move.
bool moves(const Elastic &) { return true; }
bool moves(const Shuffle &step) { return step.blocks > 0; }
bool moves(const Nonlinear &) { return false; }
bool moves(const Paint &) { return false; }
bool moves(const Rotate &step) { return step.quarterTurns != 0; }
bool stepMoves(const PerturbationStep &step) {
  return std::visit([](const auto &known) { return moves(known); }, step);
}

NoiseStream streamOf(const PhiloxStream &stream) {
  return {{stream.key[0], stream.key[1]}, {stream.counter[0], stream.counter[1], stream.counter[2]}};
}

template <class Task>
Tasks<Task> addTo(Table &table, const std::vector<Task> &tasks) {
  return {table.add(tasks), int(tasks.size())};
}

/// Cubes of float32 beside the one that is written to the batch: the other place of a cube that moves, and scratch.
constexpr size_t otherPlace = 1, fieldsOfElastic = 4, ownersAndWindows = 3;

}  // namespace

size_t scratchBytes(const CubeRequest &request, const CubeShape &shape) {
  const size_t cube = size_t(shape.voxels) * sizeof(float);
  size_t needed = 0;
  bool moved = false;
  if (request.perturbation)
    for (const PerturbationStep &step : request.perturbation->steps) {
      moved = moved || stepMoves(step);
      if (std::holds_alternative<Elastic>(step)) needed = std::max(needed, aligned(fieldsOfElastic * cube));
      if (const auto *shuffle = std::get_if<Shuffle>(&step))
        needed = std::max(needed, aligned(ownersAndWindows * cube) + size_t(shuffle->blocks) * sizeof(uint64_t));
    }
  return aligned(needed) + (moved ? aligned(otherPlace * cube) : 0);
}

struct Batch::Cube {
  float *at, *other;  // where it is, and where it goes when it moves
  char *scratch;

  float *move() {
    std::swap(at, other);
    return at;
  }
};

Batch::Batch(const BatchOrder &order, const CubeShape &shape, char *base) : shape_(shape), table_(base) {
  std::vector<CropTask> crops;
  std::vector<Round> rounds;
  const Extents extents{shape.x, shape.y, shape.z};
  char *scratch = order.scratch;
  for (size_t i = 0; i < order.count; i++) {
    const CubeRequest &request = order.requests[i];
    const PlacedBox &box = order.boxes[i];
    CropTask &crop = crops.emplace_back();
    crop.scan = box.voxels;
    for (int axis = 0; axis < 3; axis++) {
      crop.extents[axis] = int(box.extents[axis]);
      crop.start[axis] = int(box.start[axis]);
      crop.taps[axis] = taps(request.size[axis], extents[axis]);
      crop.flips[axis] = request.perturbation && request.perturbation->flips[axis];
    }
    crop.target = order.original + int64_t(i) * shape.voxels;
    crop.cube = order.perturbed ? order.perturbed + int64_t(i) * shape.voxels : nullptr;
    if (!order.perturbed || !request.perturbation) continue;
    const auto &steps = request.perturbation->steps;
    // A cube begins where an even number of moves brings it into the batch.
    const auto count = std::count_if(steps.begin(), steps.end(), stepMoves);
    Cube cube{crop.cube, nullptr, scratch};
    if (count > 0) {
      cube.other = reinterpret_cast<float *>(scratch);
      cube.scratch += aligned(otherPlace * size_t(shape.voxels) * sizeof(float));
    }
    if (count % 2 == 1) crop.cube = cube.move();
    scratch += scratchBytes(request, shape);
    if (rounds.size() < steps.size()) rounds.resize(steps.size());
    for (size_t s = 0; s < steps.size(); s++)
      std::visit([&](const auto &step) { addStep(step, rounds[s], cube); }, steps[s]);
  }
  crops_ = addTo(table_, crops);
  for (const Round &round : rounds) {
    Rows rows{addTo(table_, round.elastic),
              addTo(table_, round.shuffles),
              addTo(table_, round.curves),
              addTo(table_, round.painting),
              addTo(table_, round.rotations),
              0,
              0};
    for (const ShuffleTask &task : round.shuffles) {
      rows.mostBlocks = std::max(rows.mostBlocks, task.blocks);
      rows.largestBlock = std::max(rows.largestBlock, int64_t(task.largest[0]) * task.largest[1] * task.largest[2]);
    }
    rows_.push_back(rows);
  }
}

void Batch::start(cudaStream_t stream) const {
  startCrops(stream, crops_, shape_);
  for (const Rows &rows : rows_) {
    if (rows.elastic.count > 0) startElastic(stream, rows.elastic, shape_);
    if (rows.shuffles.count > 0) startShuffles(stream, rows.shuffles, shape_, rows.mostBlocks, rows.largestBlock);
    if (rows.curves.count > 0) startCurves(stream, rows.curves, shape_);
    if (rows.painting.count > 0) startPainting(stream, rows.painting, shape_);
    if (rows.rotations.count > 0) startRotations(stream, rows.rotations, shape_);
  }
}

void Batch::addStep(const Elastic &step, Round &round, Cube &cube) {
  ElasticTask &task = round.elastic.emplace_back();
  task.noise = streamOf(step.noise);
  for (int axis = 0; axis < 3; axis++) std::tie(task.weights[axis], task.radius[axis]) = gaussian(step.sigma[axis]);
  for (int axis = 0; axis < 2; axis++) task.alpha[axis] = float(step.alpha[axis]);
  task.from = cube.at;
  task.to = cube.move();
  task.fields = reinterpret_cast<float *>(cube.scratch);
}

void Batch::addStep(const Shuffle &step, Round &round, Cube &cube) {
  if (!moves(step)) return;
  ShuffleTask &task = round.shuffles.emplace_back();
  task.draws = streamOf(step.draws);
  task.blocks = int(step.blocks);
  for (int axis = 0; axis < 3; axis++) task.largest[axis] = int(step.largest[axis]);
  task.from = cube.at;
  task.to = cube.move();
  task.owners = reinterpret_cast<int *>(cube.scratch);
  task.windows = reinterpret_cast<uint32_t *>(task.owners + shape_.voxels);
  task.windowWords = 2 * int64_t(shape_.voxels);
  task.positions =
      reinterpret_cast<uint64_t *>(cube.scratch + aligned(ownersAndWindows * size_t(shape_.voxels) * sizeof(float)));
}

void Batch::addStep(const Nonlinear &step, Round &round, Cube &cube) {
  CurveTask task{};
  for (int point = 0; point < 2; point++) {
    task.x[point] = float(step.x[point]);
    task.y[1 + point] = float(step.y[step.inverted ? 1 - point : point]);
  }
  task.y[0] = step.inverted ? 1.0f : 0.0f;
  task.y[3] = 1.0f - task.y[0];
  task.cube = cube.at;
  round.curves.push_back(task);
}

void Batch::addStep(const Paint &step, Round &round, Cube &cube) {
  std::vector<int> blocks;
  for (const semgen::Block &block : step.blocks) {
    for (int64_t start : block.start) blocks.push_back(int(start));
    for (int64_t size : block.size) blocks.push_back(int(size));
  }
  round.painting.push_back({streamOf(step.noise), table_.add(blocks), int(step.blocks.size()), step.outside, cube.at});
}

void Batch::addStep(const Rotate &step, Round &round, Cube &cube) {
  if (!moves(step)) return;
  const float *from = cube.at;
  round.rotations.push_back({int(step.quarterTurns), from, cube.move()});
}

AxisTaps Batch::taps(int64_t size, int64_t extent) {
  auto [entry, isNew] = taps_.try_emplace({size, extent});
  if (!isNew) return entry->second;
  const AxisWeights axis(size, extent);
  std::vector<int> first, offset{0};
  std::vector<float> weights;
  for (int64_t i = 0; i < extent; i++) {
    first.push_back(int(axis.first(i)));
    weights.insert(weights.end(), axis.weights(i), axis.weights(i) + axis.count(i));
    offset.push_back(int(weights.size()));
  }
  return entry->second = {table_.add(first), table_.add(offset), table_.add(weights)};
}

std::pair<const float *, int> Batch::gaussian(double sigma) {
  auto [entry, isNew] = gaussians_.try_emplace(sigma);
  if (!isNew) return entry->second;
  const GaussianKernel kernel(sigma);
  const float *first = kernel.centre() - kernel.radius();
  return entry->second = {table_.add(first, size_t(2 * kernel.radius() + 1)), int(kernel.radius())};
}

}  // namespace semgen::cuda
