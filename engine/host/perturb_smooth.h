// Gaussian smoothing of a 3-D field, as scipy.ndimage.gaussian_filter(mode='constant', cval=0, truncate=4).
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace semgen {

/// The sampled and normalised Gaussian of radius floor(4 sigma + 0.5), with zeros around it so that vectorised loops
/// may read past its ends.
class GaussianKernel {
 public:
  explicit GaussianKernel(double sigma);
  int64_t radius() const { return radius_; }
  /// centre()[d] is the weight at distance d, for |d| <= radius() + kPadding.
  const float *centre() const { return weights_.data() + radius_ + kPadding; }

  static constexpr int64_t kPadding = 16;

 private:
  int64_t radius_;
  std::vector<float> weights_;
};

/// Smooths `field` (shape[0], shape[1], shape[2]; the last fastest) in place; `lines` is scratch.
void smooth(float *field, const std::array<int64_t, 3> &shape, const std::array<double, 3> &sigma,
            std::vector<float> &lines);

}  // namespace semgen
