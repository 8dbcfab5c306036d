// Max pooling 2x2x2 every 2 and its gradient in bfloat16, N, X, Y, Z, C, a window and eight channels a thread:
// neighbouring threads at neighbouring channels, so every access is a run of 16 bytes a thread. Memory-bound: forward
// reads x, or a conv unit's z, once and writes y and the mask (16 bits, as pool.cu's); the gradient reads both, and an
// activation to add, and writes dx once.
#include "cuda/launch.h"
#include "cuda/norm/affine.cuh"
#include "cuda/pool/halving.h"

namespace semgen::cuda {

namespace {

constexpr int threads = 256;

/// A thread's window.
struct Window {
  int64_t piece;    // of y and the mask
  int64_t corner;   // piece of the window's first voxel
  int64_t step[3];  // pieces from voxel to voxel of x, along each axis
  int channelPiece;

  SEMGEN_DEVICE Window(const HalvingShape &s, int64_t piece) : piece(piece) {
    int pieces = s.channels / 8;
    int64_t rest = piece / pieces;
    channelPiece = int(piece - rest * pieces);
    int z = int(rest % s.small[2]);
    rest /= s.small[2];
    int y = int(rest % s.small[1]);
    rest /= s.small[1];
    int x = int(rest % s.small[0]);
    int64_t image = rest / s.small[0];
    step[2] = pieces;
    step[1] = 2 * s.small[2] * step[2];
    step[0] = 2 * s.small[1] * step[1];
    corner = (image * s.small[0] + x) * 2 * step[0] + 2 * (y * step[1] + z * step[2]) + channelPiece;
  }
  /// Voxel 4 kx + 2 ky + kz of the window.
  SEMGEN_DEVICE int64_t voxel(int place) const {
    return corner + (place >> 2) * step[0] + (place >> 1 & 1) * step[1] + (place & 1) * step[2];
  }
};

__global__ void __launch_bounds__(threads)
    halveKernel(HalvingShape s, int64_t pieces, const uint4 *x, const float2 *affine, uint4 *y, uint4 *mask) {
  int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i >= pieces) return;
  Window window(s, i);
  float largest[8];
  uint32_t place[8] = {};
#pragma unroll
  for (int at = 0; at < 8; ++at) {
    uint4 words = x[window.voxel(at)];
    if (affine) words = normalisedPiece(words, affine, window.channelPiece);
    const uint32_t word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      float2 both = unpack_bf16(word[e / 2]);
      float value = e % 2 ? both.y : both.x;
      if (at > 0 && !(value > largest[e])) continue;
      largest[e] = value;
      place[e] = uint32_t(at);
    }
  }
  y[i] = make_uint4(pack_bf16(largest[0], largest[1]), pack_bf16(largest[2], largest[3]),
                    pack_bf16(largest[4], largest[5]), pack_bf16(largest[6], largest[7]));
  mask[i] = make_uint4(place[0] | place[1] << 16, place[2] | place[3] << 16, place[4] | place[5] << 16,
                       place[6] | place[7] << 16);
}

__global__ void __launch_bounds__(threads)
    spreadToWindows(HalvingShape s, int64_t pieces, const uint4 *mask, const uint4 *dy, const uint4 *other, uint4 *dx) {
  int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i >= pieces) return;
  Window window(s, i);
  uint4 places = mask[i], gradients = dy[i];
  const uint32_t place[4] = {places.x, places.y, places.z, places.w};
  const uint32_t gradient[4] = {gradients.x, gradients.y, gradients.z, gradients.w};
#pragma unroll
  for (int at = 0; at < 8; ++at) {
    uint4 before = other ? other[window.voxel(at)] : make_uint4(0, 0, 0, 0);
    const uint32_t word[4] = {before.x, before.y, before.z, before.w};
    uint32_t sums[4];
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      float2 sum = unpack_bf16(word[w]), one = unpack_bf16(gradient[w]);
      if ((place[w] & 0xffff) == uint32_t(at)) sum.x += one.x;
      if (place[w] >> 16 == uint32_t(at)) sum.y += one.y;
      sums[w] = pack_bf16(sum.x, sum.y);
    }
    dx[window.voxel(at)] = make_uint4(sums[0], sums[1], sums[2], sums[3]);
  }
}

Grid gridOf(const HalvingShape &s) { return {unsigned((s.pieces() + threads - 1) / threads)}; }

}  // namespace

bool halves(const CudaCompiler &c, const Operation &op) {
  bool forward = op.name == "max_pool";
  TensorId large = op.at(forward ? "x" : "dx"), small = op.at(forward ? "y" : "dy");
  const Shape &from = c.shape(large), &to = c.shape(small);
  bool twos = from.size() == 5 && to.size() == 5 && op.integers("kernel") == std::vector<int64_t>{2, 2, 2} &&
              op.integers("stride") == std::vector<int64_t>{2, 2, 2};
  for (size_t axis = 1; twos && axis < 4; ++axis) twos = from[axis] == 2 * to[axis];
  return twos && from[4] % 8 == 0 && c.floats(large) == DType::bf16 && c.floats(small) == DType::bf16;
}

HalvingShape halvingOf(const CudaCompiler &c, TensorId small) {
  const Shape &shape = c.shape(small);
  return {shape[0], {int(shape[1]), int(shape[2]), int(shape[3])}, int(shape[4])};
}

void halve(cudaStream_t stream, const HalvingShape &s, const void *x, const float2 *affine, void *y, void *mask) {
  launch(stream, halveKernel, gridOf(s), Block{threads}, 0, s, s.pieces(), static_cast<const uint4 *>(x), affine,
         static_cast<uint4 *>(y), static_cast<uint4 *>(mask));
}

void spread(cudaStream_t stream, const HalvingShape &s, const void *mask, const void *dy, const void *other, void *dx) {
  launch(stream, spreadToWindows, gridOf(s), Block{threads}, 0, s, s.pieces(), static_cast<const uint4 *>(mask),
         static_cast<const uint4 *>(dy), static_cast<const uint4 *>(other), static_cast<uint4 *>(dx));
}

}  // namespace semgen::cuda
