// Elastic deformation (Ronneberger et al., U-Net, MICCAI 2015; with the figures of Models Genesis).
#include <algorithm>
#include <cmath>

#include "engine/host/clones.h"
#include "engine/host/perturb.h"
#include "engine/host/perturb_noise.h"
#include "engine/host/perturb_smooth.h"

namespace semgen {

namespace {

constexpr int64_t kChunk = 64;

/// A coordinate of a line of `length` voxels, mirrored at its ends as often as needed (half-sample symmetric:
/// ... 1 0 | 0 1 2 | 2 1 ...), as the neighbour below, the neighbour above, and the way between them.
SEMGEN_INLINE void locate(float coordinate, float length, float inversePeriod, int32_t last, int32_t &below,
                          int32_t &above, float &fraction) {
  float edge = coordinate + 0.5f;
  edge -= 2.0f * length * std::floor(edge * inversePeriod);
  edge = edge > length ? 2.0f * length - edge : edge;
  edge = std::min(std::max(edge, 0.0f), length);  // what rounding may have left outside
  const int32_t index = static_cast<int32_t>(edge + 0.5f) - 1;
  const float rest = (edge - 0.5f) - static_cast<float>(index);
  fraction = std::min(std::max(rest, 0.0f), 1.0f);
  below = std::max(index, 0);
  above = std::min(index + 1, last);
}

/// out(x, y, z) = in(x + alpha[0] * dx, y + alpha[1] * dy, z), linear in x and y.
SEMGEN_CLONES
void displace(const float *in, const float *dx, const float *dy, const std::array<double, 2> &alpha,
              const Extents &shape, float *out) {
  const int64_t X = shape[0], Y = shape[1], Z = shape[2];
  const float alphaX = static_cast<float>(alpha[0]), alphaY = static_cast<float>(alpha[1]);
  const float lengthX = static_cast<float>(X), lengthY = static_cast<float>(Y);
  const float inverseX = 0.5f / lengthX, inverseY = 0.5f / lengthY;
  const int32_t lastX = static_cast<int32_t>(X - 1), lastY = static_cast<int32_t>(Y - 1);
  const int32_t strideX = static_cast<int32_t>(Y * Z), strideY = static_cast<int32_t>(Z);
  for (int64_t x = 0; x < X; x++)
    for (int64_t y = 0; y < Y; y++)
      for (int64_t z0 = 0; z0 < Z; z0 += kChunk) {
        const int64_t offset = (x * Y + y) * Z + z0;
        const int32_t count = static_cast<int32_t>(std::min(kChunk, Z - z0));
        int32_t corner00[kChunk], corner01[kChunk], corner10[kChunk], corner11[kChunk];
        float fractionX[kChunk], fractionY[kChunk];
        for (int32_t i = 0; i < count; i++) {
          int32_t belowX, aboveX, belowY, aboveY;
          locate(static_cast<float>(x) + alphaX * dx[offset + i], lengthX, inverseX, lastX, belowX, aboveX,
                 fractionX[i]);
          locate(static_cast<float>(y) + alphaY * dy[offset + i], lengthY, inverseY, lastY, belowY, aboveY,
                 fractionY[i]);
          const int32_t z = static_cast<int32_t>(z0) + i;
          corner00[i] = belowX * strideX + belowY * strideY + z;
          corner01[i] = belowX * strideX + aboveY * strideY + z;
          corner10[i] = aboveX * strideX + belowY * strideY + z;
          corner11[i] = aboveX * strideX + aboveY * strideY + z;
        }
        for (int32_t i = 0; i < count; i++) {
          const float v00 = in[corner00[i]], v01 = in[corner01[i]], v10 = in[corner10[i]], v11 = in[corner11[i]];
          const float atBelow = v00 + fractionY[i] * (v01 - v00);
          const float atAbove = v10 + fractionY[i] * (v11 - v10);
          out[offset + i] = atBelow + fractionX[i] * (atAbove - atBelow);
        }
      }
}

}  // namespace

void apply(const Elastic &step, const Extents &shape, float *cube, PerturbScratch &scratch) {
  const size_t voxels = static_cast<size_t>(shape[0] * shape[1] * shape[2]);
  scratch.first.resize(voxels);
  scratch.second.resize(voxels);
  scratch.third.assign(cube, cube + voxels);
  uint32_t block = 0;
  for (std::vector<float> *field : {&scratch.first, &scratch.second}) {
    fillUniform(step.noise, block, -1.0f, 1.0f, field->data(), voxels);
    smooth(field->data(), shape, step.sigma, scratch.lines);
    block += philoxBlocks(voxels);
  }
  displace(scratch.third.data(), scratch.first.data(), scratch.second.data(), step.alpha, shape, cube);
}

}  // namespace semgen
