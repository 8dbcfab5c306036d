// Fragments as the PTX manual lays them out over the lanes of a warp.
#include <bit>

#include "cuda/device.cuh"
#include "test/simulator/cases.h"

namespace semgen::cuda::test {
namespace {

// g: the lane's group of four, t: its place in it. (PTX ISA, "Matrix fragments for mma.m16n8k16" and ".m16n8k8".)

__global__ void productOfFragmentsBf16(const float *a, const float *b, const float *c, float *d) {
  int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  auto pair = [](float first, float second) { return pack_bf16(first, second); };
  auto A = [&](int row, int k) { return pair(a[row * 16 + k], a[row * 16 + k + 1]); };
  auto B = [&](int k, int column) { return pair(b[k * 8 + column], b[(k + 1) * 8 + column]); };
  uint32_t left[4] = {A(g, 2 * t), A(g + 8, 2 * t), A(g, 2 * t + 8), A(g + 8, 2 * t + 8)};
  uint32_t right[2] = {B(2 * t, g), B(2 * t + 8, g)};
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  mma_bf16(sums, left, right);
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

__global__ void productOfFragmentsTf32(const float *a, const float *b, const float *c, float *d) {
  int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  uint32_t left[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]),
                      to_tf32(a[(g + 8) * 8 + t + 4])};
  uint32_t right[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  mma_tf32(sums, left, right);
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

void checkProduct(void (*kernel)(const float *, const float *, const float *, float *), int depth) {
  std::vector<float> a(size_t(16 * depth)), b(size_t(depth * 8)), c(16 * 8);
  for (size_t i = 0; i < a.size(); ++i) a[i] = float(int(i * 7 % 23) - 11);
  for (size_t i = 0; i < b.size(); ++i) b[i] = float(int(i * 11 % 19) - 9);
  for (size_t i = 0; i < c.size(); ++i) c[i] = float(int(i * 13 % 29) - 14);
  Array<float> left(a), right(b), addend(c), result(16 * 8);
  launch(nullptr, kernel, Grid{1}, Block{32}, 0, left.data(), right.data(), addend.data(), result.data());
  auto d = result.read();
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      float sum = c[size_t(row * 8 + column)];
      for (int k = 0; k < depth; ++k) sum += a[size_t(row * depth + k)] * b[size_t(k * 8 + column)];
      expect(d[size_t(row * 8 + column)] == sum, "wrong at " + std::to_string(row) + ", " + std::to_string(column));
    }
}

TEST_CASE("mma_bf16 multiplies fragments as the PTX manual lays them out") { checkProduct(productOfFragmentsBf16, 16); }
TEST_CASE("mma_tf32 multiplies fragments as the PTX manual lays them out") { checkProduct(productOfFragmentsTf32, 8); }

__global__ void roundings(const float *in, uint32_t *tf32, uint16_t *brain, int count) {
  for (int i = 0; i < count; ++i) {
    tf32[i] = to_tf32(in[i]);
    brain[i] = bits_of(float2bf16(in[i]));
  }
}

TEST_CASE("tf32 rounds to nearest, ties away from zero; bfloat16 to nearest, ties to even") {
  struct {
    float value, tf32;
    uint16_t brain;
  } numbers[] = {{1.0f, 1.0f, 0x3f80},
                 {1.0f + 0x1p-11f, 1.0f + 0x1p-10f, 0x3f80},
                 {1.0f + 0x1p-12f, 1.0f, 0x3f80},
                 {-1.0f - 0x1p-11f, -1.0f - 0x1p-10f, 0xbf80},
                 {1.0f + 0x1p-8f, 1.0f + 0x1p-8f, 0x3f80},
                 {1.0f + 0x3p-8f, 1.0f + 0x3p-8f, 0x3f82},
                 {1.0f + 0x1.02p-8f, 1.0f + 0x1p-8f, 0x3f81},
                 {-2.5f, -2.5f, 0xc020},
                 {0x1.fffffep127f, __builtin_inff(), 0x7f80},
                 {__builtin_inff(), __builtin_inff(), 0x7f80},
                 {0x1p-133f, 0x1p-133f, 0x0001}};
  constexpr int count = sizeof numbers / sizeof *numbers;
  std::vector<float> values;
  for (auto &number : numbers) values.push_back(number.value);
  Array<float> in(values);
  Array<uint32_t> tf32(count);
  Array<uint16_t> brain(count);
  launch(nullptr, roundings, Grid{1}, Block{1}, 0, in.data(), tf32.data(), brain.data(), count);
  for (int i = 0; i < count; ++i) {
    uint32_t bits = tf32.read()[size_t(i)];
    // A card may leave anything in the 13 bits that tensor cores do not read.
    expect((bits & ~0x1fffu) == (std::bit_cast<uint32_t>(numbers[i].tf32) & ~0x1fffu),
           "to_tf32(" + std::to_string(numbers[i].value) + ") is wrong");
    expect(brain.read()[size_t(i)] == numbers[i].brain,
           "float2bf16(" + std::to_string(numbers[i].value) + ") is wrong");
  }
}

/// Four 8x8 matrices in a 16 x 16 tile whose element is its number.
template <bool transposed, int count>
__global__ void loadFragments(uint32_t *out) {
  __shared__ __align__(16) uint16_t tile[32][8];
  for (int i = 0; i < 8; ++i) tile[threadIdx.x][i] = uint16_t(threadIdx.x * 8 + i);
  __syncwarp();
  if constexpr (count == 4) {
    uint32_t r[4];
    if (transposed)
      ldmatrix_x4_trans(r, tile[threadIdx.x]);
    else
      ldmatrix_x4(r, tile[threadIdx.x]);
    for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = r[i];
  } else {
    uint32_t r[2];
    if (transposed)
      ldmatrix_x2_trans(r, tile[threadIdx.x % 16]);
    else
      ldmatrix_x2(r, tile[threadIdx.x % 16]);
    for (int i = 0; i < 2; ++i) out[threadIdx.x * 2 + i] = r[i];
  }
}

template <bool transposed, int count>
void checkFragments() {
  Array<uint32_t> out(32 * count);
  launch(nullptr, loadFragments<transposed, count>, Grid{1}, Block{32}, 0, out.data());
  auto words = out.read();
  for (int lane = 0; lane < 32; ++lane)
    for (int matrix = 0; matrix < count; ++matrix)
      for (int half = 0; half < 2; ++half) {
        // The manual: lane l holds row l / 4, elements 2 (l % 4) and the next; transposed, of the transpose.
        int row = lane / 4, column = lane % 4 * 2 + half;
        int element = matrix * 64 + (transposed ? column * 8 + row : row * 8 + column);
        uint32_t got = words[size_t(lane * count + matrix)] >> (16 * half) & 0xffff;
        expect(int(got) == element, "lane " + std::to_string(lane) + " holds element " + std::to_string(got) +
                                        ", not " + std::to_string(element));
      }
}

TEST_CASE("ldmatrix spreads rows over the lanes as the PTX manual says") {
  checkFragments<false, 4>();
  checkFragments<false, 2>();
}
TEST_CASE("ldmatrix.trans spreads columns over the lanes as the PTX manual says") {
  checkFragments<true, 4>();
  checkFragments<true, 2>();
}

}  // namespace
}  // namespace semgen::cuda::test
