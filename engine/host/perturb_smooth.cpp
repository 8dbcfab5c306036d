#include "engine/host/perturb_smooth.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/host/clones.h"

namespace semgen {

namespace {

constexpr int64_t kRows = 4;  // outputs kept in registers together: hides the latency of an addition

/// One direction that is not the fastest: `length` lines of `width` floats, `stride` apart, each point of a line on its
/// own.
SEMGEN_CLONES
void smoothAcross(float *base, int64_t length, int64_t stride, int64_t width, const float *weights, int64_t radius,
                  float *packed) {
  for (int64_t column = 0; column < width; column += kLanes) {
    const int64_t count = std::min(kLanes, width - column);
    for (int64_t i = 0; i < length; i++) {
      std::memset(packed + i * kLanes, 0, sizeof(Lanes));
      std::memcpy(packed + i * kLanes, base + i * stride + column, static_cast<size_t>(count) * sizeof(float));
    }
    for (int64_t i = 0; i < length; i += kRows) {
      const int64_t from = std::max<int64_t>(0, i - radius);
      const int64_t to = std::min(length - 1, i + kRows - 1 + radius);
      Lanes sum0{}, sum1{}, sum2{}, sum3{};
      for (int64_t j = from; j <= to; j++) {
        const Lanes value = *reinterpret_cast<const Lanes *>(packed + j * kLanes);
        const float *weight = weights + (i - j);
        sum0 += weight[0] * value;
        sum1 += weight[1] * value;
        sum2 += weight[2] * value;
        sum3 += weight[3] * value;
      }
      float *out = base + i * stride + column;
      storeLanes(out, sum0, count);
      if (i + 1 < length) storeLanes(out + stride, sum1, count);
      if (i + 2 < length) storeLanes(out + 2 * stride, sum2, count);
      if (i + 3 < length) storeLanes(out + 3 * stride, sum3, count);
    }
  }
}

/// The fastest direction: `rows` rows of `length` floats, four at a time.
SEMGEN_CLONES
void smoothAlong(float *base, int64_t rows, int64_t length, const float *weights, int64_t radius, float *packed) {
  for (int64_t row = 0; row < rows; row += kRows) {
    const int64_t group = std::min(kRows, rows - row);
    std::memcpy(packed, base + row * length, static_cast<size_t>(group * length) * sizeof(float));
    if (group < kRows)
      std::memset(packed + group * length, 0, static_cast<size_t>((kRows - group) * length) * sizeof(float));
    const float *row0 = packed, *row1 = row0 + length, *row2 = row1 + length, *row3 = row2 + length;
    for (int64_t z = 0; z < length; z += kLanes) {
      const int64_t from = std::max<int64_t>(0, z - radius);
      const int64_t to = std::min(length - 1, z + kLanes - 1 + radius);
      Lanes sum0{}, sum1{}, sum2{}, sum3{};
      for (int64_t j = from; j <= to; j++) {
        const Lanes weight = *reinterpret_cast<const Lanes *>(weights + (z - j));
        sum0 += row0[j] * weight;
        sum1 += row1[j] * weight;
        sum2 += row2[j] * weight;
        sum3 += row3[j] * weight;
      }
      const int64_t count = std::min(kLanes, length - z);
      float *out = base + row * length + z;
      storeLanes(out, sum0, count);
      if (group > 1) storeLanes(out + length, sum1, count);
      if (group > 2) storeLanes(out + 2 * length, sum2, count);
      if (group > 3) storeLanes(out + 3 * length, sum3, count);
    }
  }
}

}  // namespace

GaussianKernel::GaussianKernel(double sigma) : radius_(static_cast<int64_t>(4.0 * sigma + 0.5)) {
  std::vector<double> exact(static_cast<size_t>(2 * radius_ + 1));
  double sum = 0;
  for (int64_t d = -radius_; d <= radius_; d++)
    sum += exact[static_cast<size_t>(d + radius_)] =
        radius_ == 0 ? 1.0 : std::exp(-0.5 * static_cast<double>(d * d) / (sigma * sigma));
  weights_.assign(static_cast<size_t>(2 * (radius_ + kPadding) + 1), 0.0f);
  for (size_t i = 0; i < exact.size(); i++) weights_[i + kPadding] = static_cast<float>(exact[i] / sum);
}

void smooth(float *field, const std::array<int64_t, 3> &shape, const std::array<double, 3> &sigma,
            std::vector<float> &lines) {
  const auto [X, Y, Z] = shape;
  lines.resize(static_cast<size_t>(std::max({X * kLanes, Y * kLanes, Z * kRows})));
  const GaussianKernel alongX(sigma[0]), alongY(sigma[1]), alongZ(sigma[2]);
  if (alongZ.radius() > 0) smoothAlong(field, X * Y, Z, alongZ.centre(), alongZ.radius(), lines.data());
  if (alongY.radius() > 0)
    for (int64_t x = 0; x < X; x++)
      smoothAcross(field + x * Y * Z, Y, Z, Z, alongY.centre(), alongY.radius(), lines.data());
  if (alongX.radius() > 0) smoothAcross(field, X, Y * Z, Y * Z, alongX.centre(), alongX.radius(), lines.data());
}

}  // namespace semgen
