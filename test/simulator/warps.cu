// Shuffles, votes, barriers of every kind, and what threads know of their place.
#include "cuda/device.cuh"
#include "test/simulator/cases.h"

namespace semgen::cuda::test {
namespace {

__global__ void shuffles(int *out) {
  int lane = int(threadIdx.x);
  out[lane] = __shfl_sync(0xffffffffu, lane * 10, 7);
  out[32 + lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
  out[64 + lane] = __shfl_down_sync(0xffffffffu, lane, 3);
  out[96 + lane] = __shfl_up_sync(0xffffffffu, lane, 3);
  out[128 + lane] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
  out[160 + lane] = int(__shfl_xor_sync(0xffffffffu, 0x100000000ull * unsigned(lane), 1) >> 32);
  out[192 + lane] = int(__ballot_sync(0xffffffffu, lane % 3 == 0));
  out[224 + lane] = __any_sync(0xffffffffu, lane == 9) * 2 + __all_sync(0xffffffffu, lane < 31);
  // Only the even lanes.
  out[256 + lane] = lane % 2 == 0 ? __shfl_xor_sync(0x55555555u, lane, 2) : -1;
}

TEST_CASE("shuffles and votes") {
  Array<int> array(288);
  launch(nullptr, shuffles, Grid{1}, Block{32}, 0, array.data());
  auto out = array.read();
  int multiplesOfThree = 0;
  for (int lane = 0; lane < 32; ++lane) multiplesOfThree |= int(lane % 3 == 0) << lane;
  for (int lane = 0; lane < 32; ++lane) {
    const int *at = out.data() + lane;
    expect(at[0] == 70, "__shfl_sync");
    expect(at[32] == (lane ^ 5), "__shfl_xor_sync");
    expect(at[64] == (lane < 29 ? lane + 3 : lane), "__shfl_down_sync");
    expect(at[96] == (lane < 3 ? lane : lane - 3), "__shfl_up_sync");
    expect(at[128] == (lane % 8 < 5 ? lane + 3 : lane), "__shfl_down_sync in eights");
    expect(at[160] == (lane ^ 1), "__shfl_xor_sync of 64 bits");
    expect(at[192] == multiplesOfThree, "__ballot_sync");
    expect(at[224] == 2, "__any_sync, __all_sync");
    expect(at[256] == (lane % 2 == 0 ? lane ^ 2 : -1), "a shuffle among even lanes");
  }
}

__global__ void places(uint32_t *out) {
  uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  uint32_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  uint32_t threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] =
      threadIdx.z << 24 | threadIdx.y << 16 | threadIdx.x << 8 | blockIdx.z * 4 | blockIdx.y;
}

TEST_CASE("threads and blocks know their place") {
  Array<uint32_t> array(5 * 3 * 2 * 7 * 4 * 3);
  launch(nullptr, places, Grid{5, 3, 2}, Block{7, 4, 3}, 0, array.data());
  auto out = array.read();
  for (size_t i = 0; i < out.size(); ++i) {
    uint32_t thread = uint32_t(i % 84), block = uint32_t(i / 84);
    uint32_t expected = thread / 28 << 24 | thread / 7 % 4 << 16 | thread % 7 << 8 | block / 15 * 4 | block / 5 % 3;
    expect(out[i] == expected, "thread " + std::to_string(i) + " is elsewhere");
  }
}

/// The sum of a block's numbers: in a warp by shuffles, then over the warps through shared memory.
__global__ void sums(const int *in, int *out) {
  __shared__ int partial[32];
  int value = in[blockIdx.x * blockDim.x + threadIdx.x];
  for (int by = 16; by > 0; by /= 2) value += __shfl_down_sync(0xffffffffu, value, unsigned(by));
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  value = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
  for (int by = 16; by > 0; by /= 2) value += __shfl_down_sync(0xffffffffu, value, unsigned(by));
  if (threadIdx.x == 0) out[blockIdx.x] = value;
}

TEST_CASE("block sums, with any number of workers and any seed") {
  std::vector<int> numbers(50 * 1024);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = int(i * 37 % 1009);
  Array<int> in(numbers), out(50);
  for (int workers : {1, 2, 5})
    for (uint64_t seed : {0, 7}) {
      schedule(seed, workers);
      launch(nullptr, sums, Grid{50}, Block{1024}, 0, in.data(), out.data());
      auto result = out.read();
      for (size_t block = 0; block < 50; ++block) {
        int sum = 0;
        for (size_t i = 0; i < 1024; ++i) sum += numbers[block * 1024 + i];
        expect(result[block] == sum, "the sum of block " + std::to_string(block) + " is wrong");
      }
    }
}

/// Two warps pass numbers to two others through one buffer, each pair by its own named barriers.
__global__ void pairsOfWarps(int *out, bool second) {
  __shared__ int buffer[2][32];
  int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, pair = warp / 2, sum = 0;
  for (int round = 0; round < 4; ++round) {
    if (warp % 2 == 0) buffer[pair][lane] = round * 100 + lane;
    barrier_sync(1 + pair, 64);
    if (warp % 2 == 1) sum += buffer[pair][31 - lane];
    if (second) barrier_sync(3 + pair, 64);
  }
  out[threadIdx.x] = sum;
}

TEST_CASE("named barriers order the warps that meet there") {
  Array<int> out(128);
  launch(nullptr, pairsOfWarps, Grid{1}, Block{128}, 0, out.data(), true);
  expect(out.read()[32 + 5] == 600 + 4 * 26, "the sum is wrong");
#ifdef SEMGEN_SIMULATOR
  expectFault([&] { launch(nullptr, pairsOfWarps, Grid{1}, Block{128}, 0, out.data(), false); },
              {"pairsOfWarps", "race: "});
#endif
}

__global__ void countThreads(int *out) {
  out[threadIdx.x] = __syncthreads_count(threadIdx.x % 3 == 0) * 100 + __syncthreads_or(threadIdx.x == 40) * 10 +
                     __syncthreads_and(threadIdx.x < 63);
}

TEST_CASE("barriers that count") {
  Array<int> out(64);
  launch(nullptr, countThreads, Grid{1}, Block{64}, 0, out.data());
  expect(out.read() == std::vector<int>(64, 2210), "__syncthreads_count, _or or _and is wrong");
}

__global__ void histogram(const uint32_t *in, unsigned *counts, int *largest, unsigned long long *total) {
  uint32_t value = in[blockIdx.x * blockDim.x + threadIdx.x];
  atomicAdd(counts + value % 16, 1u);
  atomicMax(largest, int(value));
  atomicAdd(total, (unsigned long long)value << 30);
}

TEST_CASE("atomics on global memory") {
  std::vector<uint32_t> numbers(64 * 256);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = uint32_t(i * 2654435761u >> 20);
  Array<uint32_t> in(numbers);
  Array<unsigned> counts(std::vector<unsigned>(16, 0));
  Array<int> largest(std::vector<int>{-5});
  Array<unsigned long long> total(std::vector<unsigned long long>{0});
  launch(nullptr, histogram, Grid{64}, Block{256}, 0, in.data(), counts.data(), largest.data(), total.data());
  std::vector<unsigned> expected(16, 0);
  int most = -5;
  unsigned long long sum = 0;
  for (uint32_t value : numbers) {
    ++expected[value % 16];
    most = std::max(most, int(value));
    sum += (unsigned long long)value << 30;
  }
  expect(counts.read() == expected, "the counts are wrong");
  expect(largest.read()[0] == most && total.read()[0] == sum, "the largest or the total is wrong");
}

}  // namespace
}  // namespace semgen::cuda::test
