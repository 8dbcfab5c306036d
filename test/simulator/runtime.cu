// The runtime's stand-in, and the counters.
#include "cuda/device.cuh"
#include "cuda/simulator/stream.h"
#include "test/simulator/cases.h"

namespace semgen::cuda::test {
namespace {

__global__ void scale(float *x, float by) { x[blockIdx.x * blockDim.x + threadIdx.x] *= by; }

simulator::KernelCounters countersOf(const std::string &kernel) {
  for (const auto &counted : simulator::counters())
    if (counted.kernel == kernel) return counted;
  throw Error("NATIVE", "there are no counters of " + kernel);
}

TEST_CASE("a captured graph does nothing until it is launched, and then each time") {
  Array<float> x(std::vector<float>(256, 1.0f));
  std::vector<float> host(256, 0.0f);
  cudaStream_t stream, other;
  cudaEvent_t fork, join;
  check(cudaStreamCreate(&stream), "cudaStreamCreate");
  check(cudaStreamCreate(&other), "cudaStreamCreate");
  check(cudaEventCreate(&fork), "cudaEventCreate");
  check(cudaEventCreate(&join), "cudaEventCreate");
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  launch(stream, scale, Grid{4}, Block{64}, 0, x.data(), 2.0f);
  check(cudaEventRecord(fork, stream), "cudaEventRecord");
  check(cudaStreamWaitEvent(other, fork), "cudaStreamWaitEvent");
  launch(other, scale, Grid{4}, Block{64}, 0, x.data(), 3.0f);
  check(cudaEventRecord(join, other), "cudaEventRecord");
  check(cudaStreamWaitEvent(stream, join), "cudaStreamWaitEvent");
  check(cudaMemcpyAsync(host.data(), x.data(), 1024, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  expect(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported, "waiting for a captured stream worked");
  cudaGraph_t graph;
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  expect(x.read()[0] == 1.0f && host[0] == 0.0f, "the capture did the work");
  size_t nodes = 0;
  check(cudaGraphGetNodes(graph, nullptr, &nodes), "cudaGraphGetNodes");
  expect(nodes == 3, "the graph has " + std::to_string(nodes) + " nodes, not 3");
  cudaGraphExec_t executable;
  check(cudaGraphInstantiate(&executable, graph), "cudaGraphInstantiate");
  check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  for (float expected : {6.0f, 36.0f}) {
    check(cudaGraphLaunch(executable, stream), "cudaGraphLaunch");
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    expect(host == std::vector<float>(256, expected), "a launch of the graph gave " + std::to_string(host[0]));
  }
  check(cudaGraphExecDestroy(executable), "cudaGraphExecDestroy");
  check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  check(cudaStreamDestroy(other), "cudaStreamDestroy");
  check(cudaEventDestroy(fork), "cudaEventDestroy");
  check(cudaEventDestroy(join), "cudaEventDestroy");
}

__global__ void leaveAlone() {}

TEST_CASE("a kernel has 48 KiB of dynamic shared memory until it asks for more, and launch asks") {
  constexpr size_t least = 48 * 1024, more = 60 * 1024, most = 227 * 1024;
  auto limit = [] { return simulator::dynamicSharedLimit(reinterpret_cast<const void *>(leaveAlone)); };
  expect(limit() == least, "it has " + std::to_string(limit()) + " bytes");
  launch(nullptr, leaveAlone, Grid{1}, Block{32}, most);
  // Not less, which would refuse a launch of the first kind that another thread is about to make.
  launch(nullptr, leaveAlone, Grid{1}, Block{32}, more);
  expect(limit() == most, "after launches of 227 and 60 KiB it has " + std::to_string(limit()) + " bytes");
}

TEST_CASE("events measure time") {
  Array<float> x(std::vector<float>(65536, 1.0f));
  cudaEvent_t start, end;
  check(cudaEventCreate(&start), "cudaEventCreate");
  check(cudaEventCreate(&end), "cudaEventCreate");
  check(cudaEventRecord(start), "cudaEventRecord");
  launch(nullptr, scale, Grid{256}, Block{256}, 0, x.data(), 2.0f);
  check(cudaEventRecord(end), "cudaEventRecord");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, start, end), "cudaEventElapsedTime");
  expect(milliseconds > 0, "no time went by");
  check(cudaEventDestroy(start), "cudaEventDestroy");
  check(cudaEventDestroy(end), "cudaEventDestroy");
}

TEST_CASE("memory: copies, fills, what is free, and running out of it") {
  size_t before = 0, after = 0, total = 0;
  check(cudaMemGetInfo(&before, &total), "cudaMemGetInfo");
  {
    Array<int> a(std::vector<int>{1, 2, 3, 4}), b(4);
    check(cudaMemGetInfo(&after, &total), "cudaMemGetInfo");
    expect(after < before && before <= total, "allocations took no memory");
    check(cudaMemcpyAsync(b.data(), a.data(), 8, cudaMemcpyDeviceToDevice), "cudaMemcpyAsync");
    check(cudaMemsetAsync(b.data() + 2, 0xff, 8), "cudaMemsetAsync");
    expect(b.read() == std::vector<int>{1, 2, -1, -1}, "a copy or a fill is wrong");
    expectFault([&] { check(cudaMemcpy(a.data() + 2, b.data(), 16, cudaMemcpyDeviceToDevice), "cudaMemcpy"); },
                {"a copy of 16 bytes to the device out of bounds (0 bytes past the end of an allocation of 16 bytes)"});
  }
  check(cudaMemGetInfo(&after, &total), "cudaMemGetInfo");
  expect(after == before, "freed memory is not free");
  void *tooMuch = nullptr;
  expect(cudaMalloc(&tooMuch, total + 1) == cudaErrorMemoryAllocation, "more than all the memory was handed out");
  expect(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess, "the last error");
}

TEST_CASE("launches that no card would take are refused") {
  Array<float> x(std::vector<float>(32, 1.0f));
  expectFault([&] { launch(nullptr, scale, Grid{1}, Block{2048}, 0, x.data(), 1.0f); }, {"1 to 1024 threads"});
  expectFault([&] { launch(nullptr, scale, Grid{1}, Block{32}, 300000, x.data(), 1.0f); }, {"227 KiB"});
  expectFault([&] { launch(nullptr, scale, Grid{1, 70000}, Block{32}, 0, x.data(), 1.0f); }, {"65535"});
}

// Counters

template <int stride>
__global__ void readStrided(const float *in, float *out) {
  out[blockIdx.x * 32 + threadIdx.x] = in[(blockIdx.x * 32 + threadIdx.x) * stride];
}

TEST_CASE("sectors: contiguous reads are ideal, strided ones are not") {
  Array<float> in(std::vector<float>(64 * 32 * 8, 1.0f)), out(64 * 32);
  simulator::resetCounters();
  launch(nullptr, readStrided<1>, Grid{64}, Block{32}, 0, in.data(), out.data());
  launch(nullptr, readStrided<8>, Grid{64}, Block{32}, 0, in.data(), out.data());
  auto one = countersOf("readStrided<1>"), eight = countersOf("readStrided<8>");
  expect(one.sectorsRead == 64 * 4 && one.sectorsReadIdeal == 64 * 4, "contiguous reads take 4 sectors a warp");
  expect(one.sectorsWritten == 64 * 4 && one.bytesWritten == 64 * 32 * 4, "contiguous writes take 4 sectors a warp");
  expect(eight.sectorsRead == 64 * 32 && eight.sectorsReadIdeal == 64 * 4,
         "a stride of 32 bytes takes a sector a lane");
}

__global__ void readTheSame(const float *in, float *out) {
  out[blockIdx.x * 32 + threadIdx.x] = in[threadIdx.x];
}

TEST_CASE("distinct sectors: each once a launch, however many blocks read it") {
  Array<float> in(std::vector<float>(32, 1.0f)), out(64 * 32);
  simulator::resetCounters();
  for (int i = 0; i < 3; ++i) launch(nullptr, readTheSame, Grid{64}, Block{32}, 0, in.data(), out.data());
  auto counted = countersOf("readTheSame");
  expect(counted.sectorsRead == 3 * 64 * 4 && counted.distinctSectorsRead == 3 * 4, "128 bytes are read by all blocks");
  expect(counted.distinctSectorsWritten == 3 * 64 * 4, "every block writes 128 bytes of its own");
}

__global__ void readTurns(const float *in, float *out) {
  float sum = 0;
  for (uint32_t turn = 0; turn <= threadIdx.x / 8; ++turn) sum += in[turn * 32 + threadIdx.x];
  out[threadIdx.x] = sum;
}

TEST_CASE("lanes that go round a loop more or less often still read together") {
  Array<float> in(std::vector<float>(128, 1.0f)), out(32);
  simulator::resetCounters();
  launch(nullptr, readTurns, Grid{1}, Block{32}, 0, in.data(), out.data());
  auto counted = countersOf("readTurns");
  // Turn t is of the lanes from 8 t on: 4, 3, 2 and 1 sectors.
  expect(counted.sectorsRead == 10 && counted.sectorsReadIdeal == 10,
         std::to_string(counted.sectorsRead) + " sectors, not 10");
  expect(counted.bytesRead == 80 * 4 && counted.sectorsWritten == 4, "bytes read or sectors written");
}

/// Each thread reads a column of a tile of 32 x 32 after writing a row of it.
template <int pitch>
__global__ void transpose(float *out) {
  __shared__ float tile[32 * pitch];
  for (int row = 0; row < 32; ++row) tile[row * pitch + int(threadIdx.x)] = float(row);
  __syncthreads();
  float sum = 0;
  for (int column = 0; column < 32; ++column) sum += tile[int(threadIdx.x) * pitch + column];
  out[threadIdx.x] = sum;
}
__global__ void loadRows(uint32_t *out, int pitch) {
  SHARED_MEMORY(uint16_t, tile);
  for (int i = int(threadIdx.x); i < 32 * pitch; i += 32) tile[i] = uint16_t(i);
  __syncthreads();
  uint32_t r[4];
  ldmatrix_x4(r, tile + int(threadIdx.x) * pitch);
  out[threadIdx.x] = r[0];
}

TEST_CASE("bank conflicts are counted") {
  Array<float> out(32);
  Array<uint32_t> words(32);
  simulator::resetCounters();
  launch(nullptr, transpose<32>, Grid{1}, Block{32}, 0, out.data());
  launch(nullptr, transpose<33>, Grid{1}, Block{32}, 0, out.data());
  expect(countersOf("transpose<32>").bankConflicts == 32 * 31, "columns of 32 lie in one bank: 31 conflicts a read");
  expect(countersOf("transpose<33>").bankConflicts == 0, "a pitch of 33 has no conflicts");
  expect(countersOf("transpose<33>").sharedWavefronts == 64, "64 accesses without conflicts take 64 wavefronts");
  launch(nullptr, loadRows, Grid{1}, Block{32}, 32 * 64 * 2, words.data(), 64);
  auto straight = countersOf("loadRows").bankConflicts;
  launch(nullptr, loadRows, Grid{1}, Block{32}, 32 * 72 * 2, words.data(), 72);
  auto padded = countersOf("loadRows").bankConflicts - straight;
  expect(straight == 4 * 7, "rows 128 bytes apart conflict 7 times a matrix, not " + std::to_string(straight));
  expect(padded == 0, "rows 144 bytes apart do not conflict");
}

}  // namespace
}  // namespace semgen::cuda::test
