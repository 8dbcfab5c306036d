// Tensor cores: matrix products against plain loops, and the fragment layouts of the PTX manual.
#include <cstdio>

#include "cuda/device.cuh"
#include "test/simulator/cases.h"

namespace semgen::cuda::test {
namespace {

/// c[m][n] = a[m][k] * b[k][n]: blocks of 64 x 64, 4 warps of 32 x 32, two stages of 32 deep tiles by cp.async.
/// Rows of the tiles are 8 elements longer than they need be, so that rows lie in different banks.
constexpr int kTile = 64, kDeep = 32, kPitchA = kDeep + 8, kPitchB = kTile + 8;

__global__ void __launch_bounds__(128) product(const bf16 *a, const bf16 *b, float *c, int n, int k) {
  SHARED_MEMORY(bf16, shared);
  bf16 *tileA = shared, *tileB = shared + 2 * kTile * kPitchA;
  int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  int row0 = blockIdx.y * kTile, column0 = blockIdx.x * kTile;
  auto load = [&](int step) {
    bf16 *toA = tileA + step % 2 * kTile * kPitchA, *toB = tileB + step % 2 * kDeep * kPitchB;
    for (int i = thread; i < kTile * kDeep / 8; i += 128) {
      int row = i / (kDeep / 8), column = i % (kDeep / 8) * 8;
      cp_async_16(toA + row * kPitchA + column, a + (row0 + row) * k + step * kDeep + column);
    }
    for (int i = thread; i < kTile * kDeep / 8; i += 128) {
      int row = i / (kTile / 8), column = i % (kTile / 8) * 8;
      cp_async_16(toB + row * kPitchB + column, b + (step * kDeep + row) * n + column0 + column);
    }
    cp_async_commit();
  };
  float sums[2][4][4] = {};
  int steps = k / kDeep;
  load(0);
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      load(step + 1);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    __syncthreads();
    const bf16 *fromA = tileA + step % 2 * kTile * kPitchA + warp / 2 * 32 * kPitchA;
    const bf16 *fromB = tileB + step % 2 * kDeep * kPitchB + warp % 2 * 32;
#pragma unroll
    for (int depth = 0; depth < kDeep; depth += 16) {
      uint32_t left[2][4], right[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        ldmatrix_x4(left[i], fromA + (i * 16 + lane % 16) * kPitchA + depth + lane / 16 * 8);
        ldmatrix_x4_trans(right[i], fromB + (depth + lane % 16) * kPitchB + i * 16 + lane / 16 * 8);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          uint32_t pair[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
          mma_bf16(sums[i][j], left[i], pair);
        }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      int row = row0 + warp / 2 * 32 + i * 16 + lane / 4, column = column0 + warp % 2 * 32 + j * 8 + lane % 4 * 2;
      *reinterpret_cast<float2 *>(c + row * n + column) = make_float2(sums[i][j][0], sums[i][j][1]);
      *reinterpret_cast<float2 *>(c + (row + 8) * n + column) = make_float2(sums[i][j][2], sums[i][j][3]);
    }
}

std::vector<float> multiply(int m, int n, int k) {
  std::vector<bf16> a(size_t(m) * k), b(size_t(k) * n);
  for (size_t i = 0; i < a.size(); ++i) a[i] = float2bf16(float(int(i * 7 % 11) - 5));
  for (size_t i = 0; i < b.size(); ++i) b[i] = float2bf16(float(int(i * 5 % 13) - 6));
  Array<bf16> left(a), right(b);
  Array<float> result(size_t(m) * n);
  size_t shared = (2 * kTile * kPitchA + 2 * kDeep * kPitchB) * sizeof(bf16);
  launch(nullptr, product, Grid{unsigned(n / kTile), unsigned(m / kTile)}, Block{128}, shared, left.data(),
         right.data(), result.data(), n, k);
  std::vector<float> c = result.read();
  // Small integers: every sum is exact, in any order.
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      int sum = 0;
      for (int d = 0; d < k; ++d)
        sum += (int((size_t(i) * k + d) * 7 % 11) - 5) * (int((size_t(d) * n + j) * 5 % 13) - 6);
      expect(c[size_t(i) * n + j] == float(sum), "the product is wrong at " + std::to_string(i) + ", " +
                                                     std::to_string(j) + ": " + std::to_string(c[size_t(i) * n + j]) +
                                                     ", not " + std::to_string(sum));
    }
  return c;
}

TEST_CASE("a shared-memory bf16 product equals a plain one") { multiply(128, 192, 96); }

TEST_CASE("schedules of several seeds give the same bits") {
  auto reference = multiply(64, 128, 64);
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    schedule(seed);
    expect(multiply(64, 128, 64) == reference, "seed " + std::to_string(seed) + " gives another result");
  }
}

#ifdef SEMGEN_SIMULATOR
TEST_CASE("--speed") {
  for (int i = 0; i < 2; ++i) {
    simulator::resetCounters();
    multiply(256, 256, 512);
    for (const auto &k : simulator::counters())
      std::printf(
          "%s: %.1f MFLOP/s, %.3f s, sectors %lu/%lu read %lu/%lu written, wavefronts %lu, conflicts %lu, mma %lu\n",
          k.kernel.c_str(), double(k.tensorFlop) / k.seconds / 1e6, k.seconds, k.sectorsRead, k.sectorsReadIdeal,
          k.sectorsWritten, k.sectorsWrittenIdeal, k.sharedWavefronts, k.bankConflicts, k.mmaBf16);
  }
}
#endif

}  // namespace
}  // namespace semgen::cuda::test
