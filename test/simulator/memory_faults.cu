// Kernels with one planted fault each in their use of memory: bounds, unwritten values, alignment. See faults.cu.
#include "cuda/device.cuh"
#include "test/simulator/cases.h"

namespace semgen::cuda::test {
namespace {

__global__ void fill(float *out, float value) { out[threadIdx.x] = value; }
constexpr const char *here = "test/simulator/memory_faults.cu:";

// --- bounds ----------------------------------------------------------------------------------------------------------

constexpr int haloLine = __LINE__ + 5;
/// Sums of three, with a halo that reaches one too far at the end.
__global__ void sumOfThree(const float *in, float *out, int count) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  float left = i > 0 ? in[i - 1] : 0.0f;
  float right = i < count ? in[i + 1] : 0.0f;  // should be count - 1
  out[i] = left + in[i] + right;
}

TEST_CASE("an off-by-one halo is caught") {
  Array<float> in(std::vector<float>(256, 1.0f)), out(256);
  expectFault([&] { launch(nullptr, sumOfThree, Grid{4}, Block{64}, 0, in.data(), out.data(), 256); },
              {"sumOfThree, block (3, 0, 0), thread (63, 0, 0): read of 4 bytes out of bounds (0 bytes past the end of "
               "an allocation of 1024 bytes)",
               here + std::to_string(haloLine)});
  expectAlive();
}

__global__ void writeBefore(float *out) { out[int(threadIdx.x) - 1] = 1.0f; }

TEST_CASE("a write before an allocation is caught") {
  Array<float> out(64);
  expectFault([&] { launch(nullptr, writeBefore, Grid{1}, Block{64}, 0, out.data()); },
              {"writeBefore, block (0, 0, 0), thread (0, 0, 0): write of 4 bytes out of bounds (4 bytes before"});
}

TEST_CASE("memory that was freed is out of bounds") {
  float *stale = nullptr;
  {
    Array<float> out(64);
    stale = out.data();
  }
  expectFault([&] { launch(nullptr, fill, Grid{1}, Block{64}, 0, stale, 1.0f); }, {"fill, block", "out of bounds"});
}

__global__ void pastDynamicShared(float *out) {
  SHARED_MEMORY(float, tile);
  tile[threadIdx.x + 1] = 1.0f;
  out[threadIdx.x] = 0.0f;
}
__global__ void pastStaticShared(float *out, int shift) {
  __shared__ float tile[32];
  tile[threadIdx.x + shift] = 1.0f;
  out[threadIdx.x] = tile[threadIdx.x + shift];
}

TEST_CASE("accesses past shared memory are caught") {
  Array<float> out(32);
  expectFault([&] { launch(nullptr, pastDynamicShared, Grid{1}, Block{32}, 128, out.data()); },
              {"pastDynamicShared",
               "thread (31, 0, 0): write of 4 bytes of shared memory out of bounds: offset 128 of "
               "128 bytes"});
  launch(nullptr, pastStaticShared, Grid{1}, Block{32}, 0, out.data(), 0);
  expectFault([&] { launch(nullptr, pastStaticShared, Grid{1}, Block{32}, 0, out.data(), 1); },
              {"pastStaticShared", "thread (31, 0, 0): index 32 is out of the bounds"});
}

__global__ void readHost(const float *in, float *out) { out[threadIdx.x] = in[threadIdx.x]; }

TEST_CASE("memory of the host is no memory of the device") {
  std::vector<float> in(32, 1.0f);
  Array<float> out(32);
  expectFault([&] { launch(nullptr, readHost, Grid{1}, Block{32}, 0, in.data(), out.data()); },
              {"readHost", "which is no memory of the device"});
  expectFault([&] { launch(nullptr, readHost, Grid{1}, Block{32}, 0, nullptr, out.data()); },
              {"readHost", "a null pointer"});
}

// --- memory that was never written -----------------------------------------------------------------------------------

__global__ void fillMostly(float *out, int count) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count - 1) out[i] = 1.0f;
}

TEST_CASE("an unwritten output is caught") {
  Array<float> out(256), copy(256);
  launch(nullptr, fillMostly, Grid{4}, Block{64}, 0, out.data(), 256);
  expectFault([&] { launch(nullptr, readHost, Grid{1}, Block{256}, 0, out.data(), copy.data()); },
              {"readHost, block (0, 0, 0), thread (255, 0, 0): read of 4 bytes of memory that was never written (byte "
               "1020 of an allocation of 1024 bytes)"});
  expectFault([&] { out.read(); }, {"a copy of 1024 bytes from the device of memory that was never written"});
  launch(nullptr, fillMostly, Grid{5}, Block{64}, 0, out.data(), 257);
  out.read();
  simulator::forgetWrites(out.data(), 16);
  expectFault([&] { out.read(); }, {"never written (byte 0 of"});
}

__global__ void sumOfUnwrittenShared(float *out) {
  SHARED_MEMORY(float, tile);
  if (threadIdx.x > 0) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x & ~1u];
}

TEST_CASE("a read of shared memory that was never written is caught") {
  Array<float> out(64);
  expectFault([&] { launch(nullptr, sumOfUnwrittenShared, Grid{1}, Block{64}, 256, out.data()); },
              {"sumOfUnwrittenShared, block (0, 0, 0), thread (0, 0, 0): read of 4 bytes of shared memory that was "
               "never written (dynamic, offset 0)"});
}

TEST_CASE("memory that a pool has not handed out, or hands out again, is watched") {
  Array<float> pool(std::vector<float>(256, 1.0f)), out(32);
  simulator::bar(pool.data(), 1024);
  simulator::open(pool.data() + 64, 128);
  expectFault([&] { launch(nullptr, readHost, Grid{1}, Block{32}, 0, pool.data(), out.data()); },
              {"in memory that its pool has not handed out (byte 0 of"});
  expectFault([&] { launch(nullptr, readHost, Grid{1}, Block{32}, 0, pool.data() + 64, out.data()); },
              {"of memory that was never written (byte 256 of"});
  launch(nullptr, fill, Grid{1}, Block{32}, 0, pool.data() + 64, 2.0f);
  launch(nullptr, readHost, Grid{1}, Block{32}, 0, pool.data() + 64, out.data());
  expect(out.read()[31] == 2.0f, "what was written is not there");
}

__device__ __noinline__ int depth(int *data, int levels) {
  int local[64];
  for (int i = 0; i < 64; ++i) local[i] = data[i % 32] + levels;
  return levels == 0 ? local[5] : depth(data, levels - 1) + local[levels % 64];
}
__global__ void recursion(int *data, int levels) { data[threadIdx.x] = depth(data, levels); }

TEST_CASE("a stack that is full is caught") {
  Array<int> data(std::vector<int>(32, 1));
  launch(nullptr, recursion, Grid{1}, Block{32}, 0, data.data(), 3);
  expectFault([&] { launch(nullptr, recursion, Grid{1}, Block{32}, 0, data.data(), 100000); },
              {"recursion, block (0, 0, 0), thread (", "the thread's stack is full"});
  expectAlive();
}

TEST_CASE("a fault in a graph is reported by its launch") {
  Array<float> out(32);
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  check(cudaStreamCreate(&stream), "cudaStreamCreate");
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  launch(stream, fill, Grid{1}, Block{64}, 0, out.data(), 1.0f);
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  check(cudaGraphInstantiate(&executable, graph), "cudaGraphInstantiate");
  expect(cudaGraphLaunch(executable, stream) == cudaErrorLaunchFailure, "the fault was not noticed");
  expect(simulator::lastReport().find("fill, block (0, 0, 0), thread (32, 0, 0): write of 4 bytes out of bounds") == 0,
         simulator::lastReport());
  check(cudaGraphExecDestroy(executable), "cudaGraphExecDestroy");
  check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  check(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

// --- alignment -------------------------------------------------------------------------------------------------------

__global__ void copyVectors(const float *in, float *out, int shift) {
  reinterpret_cast<float4 *>(out)[threadIdx.x] = *reinterpret_cast<const float4 *>(in + threadIdx.x * 4 + shift);
}
__global__ void misalignedMatrix(uint32_t *out) {
  SHARED_MEMORY(uint16_t, tile);
  for (int i = int(threadIdx.x); i < 512; i += 32) tile[i] = uint16_t(i);
  __syncthreads();
  uint32_t r[4];
  ldmatrix_x4(r, tile + threadIdx.x * 12);
  out[threadIdx.x] = r[0];
}

TEST_CASE("misaligned accesses are caught") {
  Array<float> in(std::vector<float>(132, 1.0f)), out(128);
  launch(nullptr, copyVectors, Grid{1}, Block{32}, 0, in.data(), out.data(), 0);
  expectFault([&] { launch(nullptr, copyVectors, Grid{1}, Block{32}, 0, in.data(), out.data(), 1); },
              {"copyVectors, block (0, 0, 0), thread (0, 0, 0): misaligned read of 16 bytes"});
  Array<uint32_t> words(32);
  expectFault([&] { launch(nullptr, misalignedMatrix, Grid{1}, Block{32}, 1024, words.data()); },
              {"misalignedMatrix", "thread (1, 0, 0): misaligned ldmatrix row"});
}

}  // namespace
}  // namespace semgen::cuda::test
