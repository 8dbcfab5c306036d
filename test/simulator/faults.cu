// Kernels with one planted fault each in how threads share work (memory_faults.cu: in their use of memory): every one
// must be caught, and named with kernel, block, thread and line.
#include "cuda/device.cuh"
#include "test/simulator/cases.h"

namespace semgen::cuda::test {
namespace {

/// A line of this file, as messages name it.
std::string at(int line) { return "test/simulator/faults.cu:" + std::to_string(line); }

// --- races -----------------------------------------------------------------------------------------------------------

constexpr int reversalLine = __LINE__ + 5;
__global__ void reverseWithoutBarrier(const float *in, float *out) {
  __shared__ float tile[64];
  tile[threadIdx.x] = in[threadIdx.x];
  // A barrier is missing here.
  out[threadIdx.x] = tile[63 - threadIdx.x] + float(blockIdx.x);
}

TEST_CASE("a missing barrier is caught") {
  Array<float> in(std::vector<float>(64, 1.0f)), out(64);
  for (uint64_t seed : {0, 1, 2, 3}) {
    schedule(seed);
    expectFault([&] { launch(nullptr, reverseWithoutBarrier, Grid{3}, Block{64}, 0, in.data(), out.data()); },
                {"reverseWithoutBarrier, block (", "thread (", "of 4 bytes of shared memory", "faults.cu:"});
  }
  schedule(0);
  // Thread 0 of 64 runs first, and reads what thread 63 has not written yet.
  expectFault([&] { launch(nullptr, reverseWithoutBarrier, Grid{3}, Block{64}, 0, in.data(), out.data()); },
              {"reverseWithoutBarrier, block (0, 0, 0), thread (0, 0, 0): read of 4 bytes of shared memory that was "
               "never written",
               at(reversalLine)});
  expectAlive();
}

__global__ void overwriteTooEarly(const float *in, float *out) {
  __shared__ float tile[64];
  float sum = 0;
  for (int i = 0; i < 3; ++i) {
    // Without a barrier at the end of the loop, the next round overwrites what others have yet to read.
    tile[threadIdx.x] = in[threadIdx.x + i];
    __syncthreads();
    sum += tile[63 - threadIdx.x];
  }
  out[threadIdx.x] = sum;
}

TEST_CASE("a missing barrier before shared memory is written again is caught") {
  Array<float> in(std::vector<float>(68, 1.0f)), out(64);
  expectFault([&] { launch(nullptr, overwriteTooEarly, Grid{1}, Block{64}, 0, in.data(), out.data()); },
              {"overwriteTooEarly", "race: ", "no barrier between"});
}

__global__ void overlappingBlocks(float *out, int pitch) { out[blockIdx.x * pitch + threadIdx.x] = float(blockIdx.x); }
__global__ void scanInPlace(float *x) {
  int i = int(blockIdx.x * 32 + threadIdx.x);
  if (i > 0) x[i] += x[i - 1];
}

TEST_CASE("blocks that write or read what another block writes are caught") {
  Array<float> out(std::vector<float>(32 * 8, 1.0f));
  launch(nullptr, overlappingBlocks, Grid{8}, Block{32}, 0, out.data(), 32);
  expectFault([&] { launch(nullptr, overlappingBlocks, Grid{8}, Block{32}, 0, out.data(), 31); },
              {"overlappingBlocks, block (", "race: write of 4 bytes of global memory that block "});
  schedule(3, 1);
  expectFault([&] { launch(nullptr, overlappingBlocks, Grid{8}, Block{32}, 0, out.data(), 31); },
              {"overlappingBlocks, block (", "race: write of 4 bytes of global memory that block "});
  schedule(0, 1);
  expectFault([&] { launch(nullptr, scanInPlace, Grid{8}, Block{32}, 0, out.data()); },
              {"scanInPlace, block (1, 0, 0), thread (0, 0, 0): race: read of 4 bytes of global memory that block 0"});
}

__global__ void lastBlockSums(const float *in, float *partial, unsigned *done, float *total) {
  __shared__ bool last;
  float sum = in[blockIdx.x * 32 + threadIdx.x];
  for (int by = 16; by > 0; by /= 2) sum += __shfl_down_sync(0xffffffffu, sum, unsigned(by));
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(done, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x > 0) return;
  float all = 0;
  for (unsigned block = 0; block < gridDim.x; ++block) all += partial[block];
  *total = all;
}

TEST_CASE("the last block may read what the others wrote") {
  for (uint64_t seed : {0, 1, 2, 3}) {
    schedule(seed);
    Array<float> in(std::vector<float>(40 * 32, 0.5f)), partial(40), total(1);
    Array<unsigned> done(std::vector<unsigned>{0});
    launch(nullptr, lastBlockSums, Grid{40}, Block{32}, 0, in.data(), partial.data(), done.data(), total.data());
    expect(total.read()[0] == 640.0f, "the total is wrong");
  }
}

__global__ void neighboursOfAWarp(float *out, bool synchronised) {
  __shared__ float tile[32];
  tile[threadIdx.x] = float(threadIdx.x);
  if (synchronised) __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

TEST_CASE("lanes of a warp need __syncwarp, and it is enough") {
  Array<float> out(32);
  launch(nullptr, neighboursOfAWarp, Grid{1}, Block{32}, 0, out.data(), true);
  expect(out.read()[4] == 5.0f, "the neighbour's value is wrong");
  expectFault([&] { launch(nullptr, neighboursOfAWarp, Grid{1}, Block{32}, 0, out.data(), false); },
              {"neighboursOfAWarp", "thread ("});
}

__global__ void halvesOfWords(uint16_t *out) {
  __shared__ uint16_t tile[64];
  tile[threadIdx.x] = uint16_t(threadIdx.x);
  __syncthreads();
  if (threadIdx.x < 32) out[threadIdx.x] = uint16_t(reinterpret_cast<uint32_t *>(tile)[threadIdx.x] >> 16);
}

TEST_CASE("threads that write the halves of one word do not race") {
  Array<uint16_t> out(32);
  launch(nullptr, halvesOfWords, Grid{1}, Block{64}, 0, out.data());
  expect(out.read()[5] == 11, "the upper half is wrong");
}

__global__ void countByAtomics(int *out, bool mixed) {
  __shared__ int counter;
  if (threadIdx.x == 0) counter = 0;
  __syncthreads();
  atomicAdd(&counter, 1);
  if (mixed && threadIdx.x == 63) counter = 5;
  __syncthreads();
  if (threadIdx.x == 0) out[0] = counter;
}

TEST_CASE("atomics do not race with each other, but with plain writes they do") {
  Array<int> out(1);
  launch(nullptr, countByAtomics, Grid{1}, Block{64}, 0, out.data(), false);
  expect(out.read()[0] == 64, "the count is wrong");
  expectFault([&] { launch(nullptr, countByAtomics, Grid{1}, Block{64}, 0, out.data(), true); },
              {"countByAtomics", "race: ", "no barrier between the two (static"});
}

// --- asynchronous copies ---------------------------------------------------------------------------------------------

enum class Missing { nothing, wait, barrier };

template <Missing missing>
__global__ void copyThroughShared(const float *in, float *out) {
  SHARED_MEMORY(float, tile);
  cp_async_16(tile + threadIdx.x * 4, in + threadIdx.x * 4);
  cp_async_commit();
  if (missing != Missing::wait) cp_async_wait<0>();
  if (missing != Missing::barrier) __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x * 2];
}

TEST_CASE("a missing cp_async_wait is caught") {
  Array<float> in(std::vector<float>(256, 2.0f)), out(64);
  launch(nullptr, copyThroughShared<Missing::nothing>, Grid{1}, Block{64}, 1024, in.data(), out.data());
  expect(out.read()[9] == 2.0f, "the copy is wrong");
  expectFault(
      [&] { launch(nullptr, copyThroughShared<Missing::wait>, Grid{1}, Block{64}, 1024, in.data(), out.data()); },
      {"copyThroughShared<", "block (0, 0, 0), thread (", "cp_async of thread (", "no cp_async_wait yet"});
  // Waiting is only for one's own copies: others' need a barrier as well.
  expectFault(
      [&] { launch(nullptr, copyThroughShared<Missing::barrier>, Grid{1}, Block{64}, 1024, in.data(), out.data()); },
      {"copyThroughShared<", "thread ("});
}

__global__ void copyWithoutFill(float *out) {
  SHARED_MEMORY(float, tile);
  cp_async_16(tile + threadIdx.x * 4, nullptr, false);
  cp_async_commit();
  cp_async_wait<0>();
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = tile[threadIdx.x * 4 + i];
}

TEST_CASE("a cp_async without fill writes zeros and reads nothing") {
  Array<float> out(128);
  launch(nullptr, copyWithoutFill, Grid{1}, Block{32}, 512, out.data());
  expect(out.read() == std::vector<float>(128, 0.0f), "not all are zero");
}

// --- barriers not reached by all -------------------------------------------------------------------------------------

__global__ void divergentBarrier(float *out) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  out[threadIdx.x] = 1.0f;
}
__global__ void returnBeforeBarrier(float *out, int count) {
  if (int(threadIdx.x) >= count) return;
  __syncthreads();
  out[threadIdx.x] = 1.0f;
}
__global__ void shuffleInABranch(int *out) {
  int value = 0;
  if (threadIdx.x % 2 == 0) value = __shfl_xor_sync(0xffffffffu, int(threadIdx.x), 2);
  out[threadIdx.x] = value;
}
__global__ void productInABranch(float *out) {
  float sums[4] = {};
  uint32_t left[4] = {}, right[2] = {};
  if (threadIdx.x < 16) mma_bf16(sums, left, right);
  out[threadIdx.x] = sums[0];
}

TEST_CASE("barriers and collectives that not all threads reach are caught") {
  Array<float> out(64);
  Array<int> numbers(32);
  expectFault([&] { launch(nullptr, divergentBarrier, Grid{1}, Block{64}, 0, out.data()); },
              {"divergentBarrier, block (0, 0, 0), thread (32, 0, 0): divergent barrier"});
  expectFault([&] { launch(nullptr, returnBeforeBarrier, Grid{1}, Block{64}, 0, out.data(), 60); },
              {"returnBeforeBarrier, block (0, 0, 0), thread (0, 0, 0): not all threads reached the same barrier",
               "60 wait at __syncthreads()", "4 have returned (first: thread (60, 0, 0))"});
  expectFault([&] { launch(nullptr, shuffleInABranch, Grid{1}, Block{32}, 0, numbers.data()); },
              {"shuffleInABranch", "a shuffle", "lane"});
  expectFault([&] { launch(nullptr, productInABranch, Grid{1}, Block{32}, 0, out.data()); },
              {"productInABranch", "mma_bf16()"});
  expectAlive();
}

}  // namespace
}  // namespace semgen::cuda::test
