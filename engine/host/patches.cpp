#include "engine/host/patches.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/host/cubes.h"
#include "engine/host/parallel.h"

namespace semgen {

namespace {

constexpr int64_t kMostOutputs = 32;
constexpr double kFarthest = 1 << 30;  // voxels from the scan's first

using Point = std::array<double, 3>;

void validateRequest(const PatchRequest &request, const Extents &shape) {
  if (request.channels.empty()) throw Error("BAD_OPTION", "A patch needs the voxels of one channel at least.");
  for (const ScanView &channel : request.channels)
    if (channel.shape != request.channels[0].shape)
      throw Error("BAD_OPTION", "The channels of a case must lie on one grid, but have " +
                                    describe(request.channels[0].shape) + " and " + describe(channel.shape) +
                                    " voxels.");
  for (int axis = 0; axis < 3; axis++) {
    // Every corner is within the sum of what the axes can add.
    double reach = std::abs(request.place[size_t(axis) * 4 + 3]);
    for (int from = 0; from < 3; from++)
      reach += std::abs(request.place[size_t(axis) * 4 + size_t(from)]) * double(shape[size_t(from)]);
    if (!(reach <= kFarthest)) throw Error("BAD_OPTION", "A patch must lie within 2^30 voxels of its scan.");
  }
}

/// Where voxel (x, y, 0) of the patch lies in the scan, and what each further z adds.
struct Row {
  Point start, step;
  Row(const PatchRequest &request, int64_t x, int64_t y) {
    for (size_t axis = 0; axis < 3; axis++) {
      const double *m = request.place.data() + 4 * axis;
      start[axis] = m[0] * double(x) + m[1] * double(y) + m[3];
      step[axis] = m[2];
    }
  }
  Point at(int64_t z) const {
    return {start[0] + step[0] * double(z), start[1] + step[1] * double(z), start[2] + step[2] * double(z)};
  }
};

bool wholeShift(const PatchRequest &request) {
  for (size_t i = 0; i < 12; i++) {
    const double value = request.place[i];
    if (i % 4 == 3 ? value != std::floor(value) : value != (i % 5 == 0 ? 1 : 0)) return false;
  }
  return true;
}

bool inside(const Extents &shape, int64_t x, int64_t y, int64_t z) {
  return x >= 0 && x < shape[0] && y >= 0 && y < shape[1] && z >= 0 && z < shape[2];
}

int64_t indexOf(const Extents &shape, int64_t x, int64_t y, int64_t z) { return (x * shape[1] + y) * shape[2] + z; }

/// Index of the voxel that a point lies in; -1 outside of the scan.
int64_t nearest(const Extents &shape, const Point &p) {
  const auto x = int64_t(std::floor(p[0] + 0.5)), y = int64_t(std::floor(p[1] + 0.5)),
             z = int64_t(std::floor(p[2] + 0.5));
  return inside(shape, x, y, z) ? indexOf(shape, x, y, z) : -1;
}

/// Linear between the eight voxels around a point within the scan's faces; the border's voxels reach half a voxel out.
float interpolated(const ScanView &scan, const Point &p) {
  std::array<int64_t, 3> low, high;
  std::array<float, 3> part;
  for (size_t axis = 0; axis < 3; axis++) {
    const double at = std::clamp(p[axis], 0.0, double(scan.shape[axis] - 1));
    low[axis] = int64_t(at);
    high[axis] = std::min(low[axis] + 1, scan.shape[axis] - 1);
    part[axis] = float(at - double(low[axis]));
  }
  auto value = [&](int64_t x, int64_t y, int64_t z) { return float(scan.voxels[indexOf(scan.shape, x, y, z)]); };
  auto along = [&](float a, float b, float t) { return a + t * (b - a); };
  auto row = [&](int64_t x, int64_t y) { return along(value(x, y, low[2]), value(x, y, high[2]), part[2]); };
  auto plane = [&](int64_t x) { return along(row(x, low[1]), row(x, high[1]), part[1]); };
  return along(plane(low[0]), plane(high[0]), part[0]);
}

struct Output {
  const std::array<uint32_t, 256> &codes;
  int64_t outputs;
  void write(const uint8_t *labels, int64_t index, float *to) const {
    const uint32_t code = index < 0 ? 0 : codes[labels[index]];
    for (int64_t o = 0; o < outputs; o++) to[o] = float(code >> o & 1);
  }
};

/// One row of a patch along z.
void fillRow(const PatchRequest &request, bool copies, int64_t x, int64_t y, int64_t length, const Output &output,
             float *input, float *target) {
  const Extents &shape = request.channels[0].shape;
  const Row row(request, x, y);
  const auto channels = int64_t(request.channels.size());
  const float scale = float(request.gain / 65535), offset = float(request.offset);
  for (int64_t z = 0; z < length; z++) {
    const Point p = row.at(z);
    const int64_t index = nearest(shape, p);
    for (int64_t c = 0; c < channels; c++) {
      const ScanView &channel = request.channels[size_t(c)];
      const float value = index < 0 ? 0 : copies ? float(channel.voxels[index]) : interpolated(channel, p);
      input[z * channels + c] = index < 0 ? 0 : value * scale + offset;
    }
    if (target) output.write(request.labels, request.labels ? index : -1, target + z * output.outputs);
  }
}

}  // namespace

void fillPatches(const std::vector<PatchRequest> &requests, const Extents &shape,
                 const std::array<uint32_t, 256> &codes, int64_t outputs, float *input, float *target, int threads) {
  validateShape(shape);
  if (outputs < 0 || outputs > kMostOutputs)
    throw Error("BAD_OPTION", "A task has at most 32 outputs, not " + std::to_string(outputs) + ".");
  for (const PatchRequest &request : requests) {
    validateRequest(request, shape);
    if (request.channels.size() != requests[0].channels.size())
      throw Error("BAD_OPTION", "The patches of a batch must have as many channels each.");
  }
  const Output output{codes, outputs};
  parallelFor(int64_t(requests.size()) * shape[0], threads, [&](int64_t piece, int) {
    const PatchRequest &request = requests[size_t(piece / shape[0])];
    const bool copies = wholeShift(request);
    for (int64_t y = 0; y < shape[1]; y++) {
      const int64_t first = (piece * shape[1] + y) * shape[2];
      fillRow(request, copies, piece % shape[0], y, shape[2], output, input + first * int64_t(request.channels.size()),
              target ? target + first * outputs : nullptr);
    }
  });
}

}  // namespace semgen
