// Elastic deformation (Ronneberger et al., U-Net, MICCAI 2015; with the figures of Models Genesis).
#include <algorithm>
#include <cstring>

#include "engine/host/clones.h"
#include "engine/host/perturb.h"
#include "engine/host/perturb_noise.h"
#include "engine/host/perturb_smooth.h"

namespace semgen {

namespace {

/// Coordinates on a line of voxels as the neighbours below and above, and the way between them.
struct Places {
  IntLanes below, above;
  Lanes fraction;
};

/// Mirrors coordinates at the ends of a line of `length` voxels as often as needed (half-sample symmetric:
/// ... 1 0 | 0 1 2 | 2 1 ...). They must be less than 2^31 in size.
SEMGEN_INLINE Places locate(const Lanes &coordinate, float length) {
  const Lanes periods = (coordinate + 0.5f) * (0.5f / length);
  Lanes whole = __builtin_convertvector(__builtin_convertvector(periods, IntLanes), Lanes);
  whole = whole > periods ? whole - 1.0f : whole;
  Lanes edge = (coordinate + 0.5f) - 2.0f * length * whole;
  edge = edge > length ? 2.0f * length - edge : edge;
  // What rounding may have left outside.
  const Lanes zero{}, one = zero + 1.0f, end = zero + length;
  edge = edge < zero ? zero : edge;
  edge = edge > end ? end : edge;
  const IntLanes index = __builtin_convertvector(edge + 0.5f, IntLanes) - 1;
  Lanes fraction = (edge - 0.5f) - __builtin_convertvector(index, Lanes);
  fraction = fraction < zero ? zero : fraction;
  fraction = fraction > one ? one : fraction;
  const int32_t last = static_cast<int32_t>(length) - 1;
  const IntLanes none{};
  return {index < 0 ? none : index, index >= last ? none + last : index + 1, fraction};
}

/// out(x, y, z) = in(x + alpha[0] * dx, y + alpha[1] * dy, z), linear in x and y.
SEMGEN_CLONES
void displace(const float *in, const float *dx, const float *dy, const std::array<double, 2> &alpha,
              const Extents &shape, float *out) {
  const int64_t X = shape[0], Y = shape[1], Z = shape[2];
  const float alphaX = static_cast<float>(alpha[0]), alphaY = static_cast<float>(alpha[1]);
  const int32_t strideX = static_cast<int32_t>(Y * Z), strideY = static_cast<int32_t>(Z);
  const IntLanes along{0, 1, 2, 3, 4, 5, 6, 7};
  for (int64_t x = 0; x < X; x++)
    for (int64_t y = 0; y < Y; y++)
      for (int64_t z = 0; z < Z; z += kLanes) {
        const int64_t offset = (x * Y + y) * Z + z;
        const int64_t count = std::min(kLanes, Z - z);
        Lanes moveX{}, moveY{};
        std::memcpy(&moveX, dx + offset, static_cast<size_t>(count) * sizeof(float));
        std::memcpy(&moveY, dy + offset, static_cast<size_t>(count) * sizeof(float));
        const Places placeX = locate(alphaX * moveX + static_cast<float>(x), static_cast<float>(X));
        const Places placeY = locate(alphaY * moveY + static_cast<float>(y), static_cast<float>(Y));
        const IntLanes line = along + static_cast<int32_t>(z);
        const IntLanes corner00 = placeX.below * strideX + placeY.below * strideY + line;
        const IntLanes corner01 = placeX.below * strideX + placeY.above * strideY + line;
        const IntLanes corner10 = placeX.above * strideX + placeY.below * strideY + line;
        const IntLanes corner11 = placeX.above * strideX + placeY.above * strideY + line;
        Lanes v00{}, v01{}, v10{}, v11{};
        for (int64_t lane = 0; lane < count; lane++) {
          v00[lane] = in[corner00[lane]];
          v01[lane] = in[corner01[lane]];
          v10[lane] = in[corner10[lane]];
          v11[lane] = in[corner11[lane]];
        }
        const Lanes atBelow = v00 + placeY.fraction * (v01 - v00);
        const Lanes atAbove = v10 + placeY.fraction * (v11 - v10);
        storeLanes(out + offset, atBelow + placeX.fraction * (atAbove - atBelow), count);
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
