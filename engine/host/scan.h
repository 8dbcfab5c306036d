// A scan as it was read, seen in canonical order (x to the right, y to the front, z up; z fastest), and what
// preparation needs of it: its range, and its voxels as 16-bit numbers.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace semgen {

enum class VoxelType { u8, i8, u16, i16, u32, i32, f32, f64 };

/// Voxel (x, y, z) is data[offset + x * strides[0] + y * strides[1] + z * strides[2]] * slope + intercept; strides are
/// in elements and may be negative, which is how axes are flipped.
struct RawScan {
  const void *data;
  int64_t elements;  // of data, to check strides against
  VoxelType type;
  int64_t offset;
  std::array<int64_t, 3> strides, shape;
  double slope, intercept;
};

struct ScanSummary {
  double low, high;              // smallest and largest finite value
  double robustLow, robustHigh;  // quantiles 0.5 % and 99.5 % of finite values, to 1/1024 of what lies between them
  int64_t nonFinite;             // NaN and infinite voxels
  bool whole;                    // all values are whole numbers
};

/// Throws Error BAD_OPTION when strides leave the data.
ScanSummary summarize(const RawScan &scan);

/// Every voxel as round(65535 * (v - low) / (high - low)), clipped to the ends; non-finite ones count as low.
void quantize(const RawScan &scan, double low, double high, uint16_t *out);

/// The body's bounding box [low, high) along each axis: the longest run of planes of which at least 2 % of the voxels
/// lie above the threshold (a table or noise outside makes shorter runs). The whole scan where no plane does.
void bodyBox(const uint16_t *voxels, const std::array<int64_t, 3> &shape, uint16_t threshold,
             std::array<int64_t, 3> &low, std::array<int64_t, 3> &high);

}  // namespace semgen
