#include "engine/host/cubes_resample.h"

#include <algorithm>
#include <cmath>

#include "engine/host/clones.h"

namespace semgen {

namespace {

SEMGEN_CLONES
void toFloat(const uint16_t *in, int64_t count, float *out) {
  for (int64_t i = 0; i < count; i++) out[i] = static_cast<float>(in[i]) / 65535.0f;
}

SEMGEN_CLONES
void addScaled(const float *in, float weight, int64_t count, float *out) {
  for (int64_t i = 0; i < count; i++) out[i] += weight * in[i];
}

/// `size` values of a line of `length`, from `start` on; beyond its ends the end values repeat.
void readLine(const uint16_t *line, int64_t length, int64_t start, int64_t size, float *out) {
  const int64_t before = std::clamp<int64_t>(-start, 0, size);
  const int64_t end = std::clamp<int64_t>(length - start, before, size);
  if (end > before) toFloat(line + start + before, end - before, out + before);
  std::fill(out, out + before, static_cast<float>(line[0]) / 65535.0f);
  std::fill(out + end, out + size, static_cast<float>(line[length - 1]) / 65535.0f);
}

}  // namespace

AxisWeights::AxisWeights(int64_t size, int64_t extent) : identity_(size == extent) {
  const double scale = static_cast<double>(size) / static_cast<double>(extent);
  const double reach = std::max(scale, 1.0);
  first_.reserve(static_cast<size_t>(extent));
  offset_.assign(1, 0);
  std::vector<double> heights;
  for (int64_t i = 0; i < extent; i++) {
    const double centre = (static_cast<double>(i) + 0.5) * scale - 0.5;
    const auto lowest = std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - reach)) + 1);
    const auto highest = std::min<int64_t>(size - 1, static_cast<int64_t>(std::ceil(centre + reach)) - 1);
    heights.clear();
    double sum = 0;
    for (int64_t j = lowest; j <= highest; j++) {
      heights.push_back(1.0 - std::abs(static_cast<double>(j) - centre) / reach);
      sum += heights.back();
    }
    first_.push_back(lowest);
    for (double height : heights) weights_.push_back(static_cast<float>(height / sum));
    offset_.push_back(static_cast<int64_t>(weights_.size()));
  }
}

Resampling::Resampling(const Extents &size, const Extents &shape)
    : size_(size), shape_(shape), x_(size[0], shape[0]), y_(size[1], shape[1]), z_(size[2], shape[2]) {}

void Resampling::run(const ScanView &scan, const Extents &start, int64_t from, int64_t to, float *out,
                     Scratch &scratch) const {
  const int64_t planeSize = shape_[1] * shape_[2];
  if (x_.identity()) {
    for (int64_t x = from; x < to; x++) plane(scan, start, x, out + (x - from) * planeSize, scratch);
    return;
  }
  scratch.plane.resize(static_cast<size_t>(planeSize));
  std::fill(out, out + (to - from) * planeSize, 0.0f);
  // Each plane of the box is made once and added to every plane of the result that it is part of.
  int64_t lowest = from;
  for (int64_t source = x_.first(from); source < x_.first(to - 1) + x_.count(to - 1); source++) {
    while (lowest < to && x_.first(lowest) + x_.count(lowest) <= source) lowest++;
    if (lowest == to || x_.first(lowest) > source) continue;
    plane(scan, start, source, scratch.plane.data(), scratch);
    for (int64_t x = lowest; x < to && x_.first(x) <= source; x++)
      addScaled(scratch.plane.data(), x_.weights(x)[source - x_.first(x)], planeSize, out + (x - from) * planeSize);
  }
}

/// Plane x of the box, brought to (shape[1], shape[2]).
void Resampling::plane(const ScanView &scan, const Extents &start, int64_t x, float *out, Scratch &scratch) const {
  const auto [scanX, scanY, scanZ] = scan.shape;
  const int64_t Z = shape_[2];
  const uint16_t *source = scan.voxels + std::clamp<int64_t>(start[0] + x, 0, scanX - 1) * scanY * scanZ;
  scratch.row.resize(static_cast<size_t>(size_[2]));
  if (!y_.identity()) scratch.rows.resize(static_cast<size_t>(size_[1] * Z));
  float *rows = y_.identity() ? out : scratch.rows.data();
  for (int64_t y = 0; y < size_[1]; y++) {
    const uint16_t *line = source + std::clamp<int64_t>(start[1] + y, 0, scanY - 1) * scanZ;
    float *row = rows + y * Z;
    if (z_.identity()) {
      readLine(line, scanZ, start[2], size_[2], row);
      continue;
    }
    readLine(line, scanZ, start[2], size_[2], scratch.row.data());
    for (int64_t z = 0; z < Z; z++) {
      const float *values = scratch.row.data() + z_.first(z);
      const float *weights = z_.weights(z);
      float sum = 0;
      for (int64_t tap = 0; tap < z_.count(z); tap++) sum += weights[tap] * values[tap];
      row[z] = sum;
    }
  }
  if (y_.identity()) return;
  std::fill(out, out + shape_[1] * Z, 0.0f);
  for (int64_t y = 0; y < shape_[1]; y++)
    for (int64_t tap = 0; tap < y_.count(y); tap++)
      addScaled(rows + (y_.first(y) + tap) * Z, y_.weights(y)[tap], Z, out + y * Z);
}

}  // namespace semgen
