// What tests, benchmarks and the engine ask of the simulator, beyond the CUDA runtime (runtime.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace semgen::simulator {

/// What the launches of one kernel did together. A sector is 32 bytes of global memory; a warp's access touches some
/// number of them, and would ideally touch no more than its distinct bytes fill. A wavefront is one pass over the 32
/// banks of shared memory; those beyond what an access needs at best are bank conflicts. Distinct sectors count once a
/// launch: what goes to and from memory where the cache keeps what a launch uses again, but nothing between launches.
struct KernelCounters {
  std::string kernel;
  uint64_t launches = 0, blocks = 0, threads = 0;
  uint64_t sectorsRead = 0, sectorsReadIdeal = 0;
  uint64_t sectorsWritten = 0, sectorsWrittenIdeal = 0;
  uint64_t distinctSectorsRead = 0, distinctSectorsWritten = 0;
  uint64_t bytesRead = 0, bytesWritten = 0;          // of global memory, as threads asked for them
  uint64_t sharedWavefronts = 0, bankConflicts = 0;  // conflicts: the wavefronts too many
  uint64_t mmaBf16 = 0, mmaTf32 = 0, tensorFlop = 0;
  uint64_t barriers = 0;
  uint32_t grid[3] = {}, block[3] = {};  // of the latest launch
  uint64_t dynamicShared = 0;            // bytes a block, of the latest launch
  double seconds = 0;                    // of the host
};

/// By kernel, in order of name, since the start or the last reset.
std::vector<KernelCounters> counters();
void resetCounters();

/// The message of the last launch or copy that a check refused; empty if none.
std::string lastReport();

/// The order of threads between barriers. Set at the start from SEMGEN_SIM_SEED, else 0. The results must not depend
/// on it.
void setSeed(uint64_t seed);
/// Host threads that run blocks; 0: one a core. The results do not depend on it.
void setWorkers(int workers);

/// For memory that is handed out again from a pool: forgets that it was ever written.
void forgetWrites(void *device, size_t bytes);
/// For pools: bars [device, device + bytes), part of an allocation, from kernels and copies; and opens it, unwritten.
void bar(void *device, size_t bytes);
void open(void *device, size_t bytes);

}  // namespace semgen::simulator
