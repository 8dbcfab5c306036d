#include "engine/host/scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace semgen {

namespace {

void checkBounds(const RawScan &scan) {
  int64_t first = scan.offset, last = scan.offset;
  for (int axis = 0; axis < 3; ++axis) {
    if (scan.shape[axis] < 1) throw Error("BAD_OPTION", "A scan needs at least one voxel along each axis.");
    int64_t reach = scan.strides[axis] * (scan.shape[axis] - 1);
    (reach < 0 ? first : last) += reach;
  }
  if (first < 0 || last >= scan.elements) throw Error("BAD_OPTION", "A scan's strides leave its data.");
}

template <class Body>
void withVoxels(const RawScan &scan, Body &&body) {
  checkBounds(scan);
  switch (scan.type) {
    case VoxelType::u8:
      return body(static_cast<const uint8_t *>(scan.data));
    case VoxelType::i8:
      return body(static_cast<const int8_t *>(scan.data));
    case VoxelType::u16:
      return body(static_cast<const uint16_t *>(scan.data));
    case VoxelType::i16:
      return body(static_cast<const int16_t *>(scan.data));
    case VoxelType::u32:
      return body(static_cast<const uint32_t *>(scan.data));
    case VoxelType::i32:
      return body(static_cast<const int32_t *>(scan.data));
    case VoxelType::f32:
      return body(static_cast<const float *>(scan.data));
    case VoxelType::f64:
      return body(static_cast<const double *>(scan.data));
  }
}

/// Visits every voxel's value, in canonical order unless the order does not matter: then as it lies in memory.
template <class T, class Visit>
void forVoxels(const RawScan &scan, const T *data, bool inOrder, Visit &&visit) {
  std::array<int, 3> axes{0, 1, 2};
  if (!inOrder)
    std::sort(axes.begin(), axes.end(),
              [&](int a, int b) { return std::abs(scan.strides[a]) > std::abs(scan.strides[b]); });
  auto [a, b, c] = axes;
  for (int64_t i = 0; i < scan.shape[a]; ++i)
    for (int64_t j = 0; j < scan.shape[b]; ++j) {
      const T *row = data + scan.offset + i * scan.strides[a] + j * scan.strides[b];
      for (int64_t k = 0; k < scan.shape[c]; ++k) visit(double(row[k * scan.strides[c]]) * scan.slope + scan.intercept);
    }
}

/// Quantiles 0.5 % and 99.5 % of the finite values, all of which lie in [low, high]: by a histogram, whose range is
/// narrowed to where they are for as long as they are only a few bins apart. So values however far out cost a pass over
/// the voxels, and no precision.
template <class T>
std::pair<double, double> robustRange(const RawScan &scan, const T *data, int64_t finite, double low, double high) {
  constexpr int bins = 65536, apart = 1024;
  std::vector<int64_t> histogram(bins);
  if (!std::isfinite(high - low)) {
    low = std::max(low, -std::numeric_limits<double>::max() / 4);
    high = std::min(high, std::numeric_limits<double>::max() / 4);
  }
  for (;;) {
    std::fill(histogram.begin(), histogram.end(), 0);
    const double width = (high - low) / (bins - 1), perUnit = width > 0 ? 1 / width : 0;
    int64_t below = 0;
    forVoxels(scan, data, false, [&](double value) {
      if (value < low && std::isfinite(value)) ++below;
      if (value >= low && value <= high) ++histogram[size_t(std::lround((value - low) * perUnit))];
    });
    auto binOf = [&](double share) {
      int64_t wanted = int64_t(share * double(finite - 1)), seen = below;
      for (int bin = 0; bin < bins; ++bin)
        if ((seen += histogram[size_t(bin)]) > wanted) return bin;
      return bins - 1;
    };
    const int first = binOf(0.005), last = binOf(0.995);
    if (width == 0 || last - first >= apart) return {low + first * width, low + last * width};
    // What is counted in these bins, and in their neighbours for the rounding's sake.
    double least = high, most = low;
    const double from = low + (first - 1) * width, to = low + (last + 1) * width;
    forVoxels(scan, data, false, [&](double value) {
      if (!(value >= from && value <= to)) return;
      least = std::min(least, value);
      most = std::max(most, value);
    });
    if (least == low && most == high) return {low + first * width, low + last * width};
    low = least;
    high = most;
  }
}

}  // namespace

ScanSummary summarize(const RawScan &scan) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  ScanSummary summary{infinity, -infinity, 0, 0, 0, true};
  withVoxels(scan, [&](const auto *data) {
    int64_t finite = 0;
    forVoxels(scan, data, false, [&](double value) {
      if (!std::isfinite(value)) {
        ++summary.nonFinite;
        return;
      }
      ++finite;
      summary.low = std::min(summary.low, value);
      summary.high = std::max(summary.high, value);
      summary.whole = summary.whole && value == std::floor(value);
    });
    if (finite == 0) return;
    auto [low, high] = robustRange(scan, data, finite, summary.low, summary.high);
    summary.robustLow = low;
    summary.robustHigh = high;
  });
  return summary;
}

void quantize(const RawScan &scan, double low, double high, uint16_t *out) {
  if (!(high > low)) throw Error("BAD_OPTION", "An intensity window must have some width.");
  double scale = 65535 / (high - low);
  withVoxels(scan, [&](const auto *data) {
    forVoxels(scan, data, true, [&](double value) {
      double level = std::isfinite(value) ? (value - low) * scale : 0;
      // What is not above 0 may be no number, where the window is as wide as numbers go.
      *out++ = uint16_t((level > 0 ? std::min(level, 65535.0) : 0.0) + 0.5);
    });
  });
}

void bodyBox(const uint16_t *voxels, const std::array<int64_t, 3> &shape, uint16_t threshold,
             std::array<int64_t, 3> &low, std::array<int64_t, 3> &high) {
  std::array<std::vector<int64_t>, 3> inside;
  for (int axis = 0; axis < 3; ++axis) inside[axis].assign(size_t(shape[axis]), 0);
  const uint16_t *voxel = voxels;
  for (int64_t x = 0; x < shape[0]; ++x)
    for (int64_t y = 0; y < shape[1]; ++y)
      for (int64_t z = 0; z < shape[2]; ++z, ++voxel)
        if (*voxel > threshold) ++inside[0][size_t(x)], ++inside[1][size_t(y)], ++inside[2][size_t(z)];
  int64_t all = shape[0] * shape[1] * shape[2];
  for (int axis = 0; axis < 3; ++axis) {
    low[axis] = 0, high[axis] = shape[axis];
    int64_t needed = std::max<int64_t>(1, all / shape[axis] / 50), longest = 0, start = 0;
    for (int64_t i = 0; i <= shape[axis]; ++i) {
      if (i < shape[axis] && inside[axis][size_t(i)] >= needed) continue;
      if (i - start > longest) longest = i - start, low[axis] = start, high[axis] = i;
      start = i + 1;
    }
  }
}

}  // namespace semgen
