// Launches: blocks spread over the machine's cores, counters, and the report of a fault.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>

#include "cuda/simulator/multiprocessor.h"
#include "cuda/simulator/stream.h"
#include "cuda/simulator/symbols.h"
#include "engine/error.h"

namespace semgen::simulator {

namespace {

uint64_t seedFromEnvironment() {
  const char *text = std::getenv("SEMGEN_SIM_SEED");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

/// Host threads that run blocks beside the launching one. They wait for work until the process ends.
class Workers {
 public:
  /// Calls work(i) for i in 0 .. count, each on a thread of its own; work(0) on the caller's.
  template <class Work>
  void run(int count, Work &&work) {
    if (count == 1) return work(0);
    std::unique_lock lock(mutex_);
    work_ = work;
    wanted_ = count - 1;
    done_ = 0;
    ++turn_;
    while (threads_ < count - 1) {
      std::thread([this, number = threads_ + 1, turn = turn_ - 1] { loop(number, turn); }).detach();
      ++threads_;
    }
    begin_.notify_all();
    lock.unlock();
    work(0);
    lock.lock();
    end_.wait(lock, [this] { return done_ == wanted_; });
    work_ = nullptr;
  }

 private:
  void loop(int number, uint64_t turn) {
    std::unique_lock lock(mutex_);
    for (;;) {
      begin_.wait(lock, [&] { return turn_ != turn && number <= wanted_; });
      turn = turn_;
      lock.unlock();
      work_(number);
      lock.lock();
      if (++done_ == wanted_) end_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable begin_, end_;
  std::function<void(int)> work_;
  int threads_ = 0, wanted_ = 0, done_ = 0;
  uint64_t turn_ = 0;
};

struct State {
  std::mutex device;  // one launch at a time, as if there were one stream
  Workers workers;
  std::vector<std::unique_ptr<Multiprocessor>> processors;
  uint32_t launches = 0;

  std::mutex mutex;  // of what follows
  uint64_t seed = seedFromEnvironment();
  int workerCount = 0;
  std::map<const void *, KernelCounters> counters;
  std::map<const void *, std::string> names;
  std::string report;
};

/// Never destroyed: worker threads may still wait in it.
State &state() {
  static auto *all = new State;
  return *all;
}

std::string nameOfKernel(const void *kernel) {
  auto &names = state().names;
  auto found = names.find(kernel);
  if (found != names.end()) return found->second;
  std::string name = locate({reinterpret_cast<uintptr_t>(kernel)})[0].function;
  if (name.empty()) name = "a kernel without debug information";
  return names[kernel] = name;
}

std::string triple(uint3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

std::string describe(const Launch &launch, uint3 block, const Fault &fault) {
  std::string text = nameOfKernel(launch.call->kernel) + ", block " + triple(block);
  if (fault.thread >= 0) {
    auto t = uint32_t(fault.thread);
    const dim3 &extents = launch.block;
    text += ", thread " + triple({t % extents.x, t / extents.x % extents.y, t / extents.x / extents.y});
  }
  text += std::string(": ") + fault.text;
  if (fault.instruction != 0) {
    Place place = locate({fault.instruction - 1})[0];
    if (place.line != 0) text += ", at " + place.file + ":" + std::to_string(place.line);
  } else if (fault.site.line() != 0) {
    text += ", at " + shortPath(fault.site.file_name()) + ":" + std::to_string(fault.site.line());
  }
  return text;
}

void add(const Launch &launch, const LaunchCounters &sum, double seconds) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  KernelCounters &kernel = all.counters[launch.call->kernel];
  uint64_t blocks = uint64_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  ++kernel.launches;
  kernel.blocks += blocks;
  kernel.threads += blocks * launch.threads;
  kernel.sectorsRead += sum.sectors[0];
  kernel.sectorsReadIdeal += sum.idealSectors[0];
  kernel.sectorsWritten += sum.sectors[1];
  kernel.sectorsWrittenIdeal += sum.idealSectors[1];
  kernel.distinctSectorsRead += sum.distinctSectors[0];
  kernel.distinctSectorsWritten += sum.distinctSectors[1];
  kernel.bytesRead += sum.bytes[0];
  kernel.bytesWritten += sum.bytes[1];
  kernel.sharedWavefronts += sum.wavefronts;
  kernel.bankConflicts += sum.conflicts;
  kernel.mmaBf16 += sum.mmaBf16;
  kernel.mmaTf32 += sum.mmaTf32;
  kernel.tensorFlop += sum.mmaBf16 * 2 * 16 * 8 * 16 + sum.mmaTf32 * 2 * 16 * 8 * 8;
  kernel.barriers += sum.barriers;
  uint32_t grid[3] = {launch.grid.x, launch.grid.y, launch.grid.z};
  uint32_t block[3] = {launch.block.x, launch.block.y, launch.block.z};
  std::copy(grid, grid + 3, kernel.grid);
  std::copy(block, block + 3, kernel.block);
  kernel.dynamicShared = launch.dynamicShared;
  kernel.seconds += seconds;
}

}  // namespace

void setReport(const std::string &text) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  all.report = text;
}

std::string lastReport() {
  State &all = state();
  std::lock_guard lock(all.mutex);
  return all.report;
}

void setSeed(uint64_t seed) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  all.seed = seed;
}

void setWorkers(int workers) {
  State &all = state();
  std::lock_guard lock(all.mutex);
  all.workerCount = std::clamp(workers, 0, kMaxMultiprocessors);
}

std::vector<KernelCounters> counters() {
  State &all = state();
  std::lock_guard lock(all.mutex);
  std::vector<KernelCounters> list;
  for (const auto &[kernel, counted] : all.counters) {
    list.push_back(counted);
    list.back().kernel = nameOfKernel(kernel);
  }
  std::sort(list.begin(), list.end(), [](const auto &a, const auto &b) { return a.kernel < b.kernel; });
  return list;
}

void resetCounters() {
  State &all = state();
  std::lock_guard lock(all.mutex);
  all.counters.clear();
}

cudaError_t runKernel(const KernelCall &call, dim3 grid, dim3 block, size_t dynamicShared) {
  State &all = state();
  std::lock_guard device(all.device);
  Launch launch;
  launch.call = &call;
  launch.grid = grid;
  launch.block = block;
  launch.threads = block.x * block.y * block.z;
  launch.dynamicShared = dynamicShared;
  if (++all.launches == 0x10000) {
    clearStamps();
    all.launches = 1;
  }
  launch.number = all.launches << 16;
  uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  int workers = 0;
  {
    std::lock_guard lock(all.mutex);
    launch.seed = all.seed;
    workers = all.workerCount;
  }
  if (workers == 0) workers = std::clamp(int(std::thread::hardware_concurrency()), 1, kMaxMultiprocessors);
  workers = int(std::min<uint64_t>(uint64_t(workers), blocks));
  try {
    while (int(all.processors.size()) < workers)
      all.processors.push_back(std::make_unique<Multiprocessor>(int(all.processors.size())));
  } catch (const Error &error) {
    setReport(error.what());
    return cudaErrorMemoryAllocation;
  }
  // Blocks in an order of the seed's: from some block on, in steps that reach each once.
  uint64_t begin = launch.seed == 0 ? 0 : launch.seed * 0x9e3779b97f4a7c15ull % blocks;
  uint64_t step = launch.seed == 0 ? 1 : launch.seed * 0xd1b54a32d192ed03ull % std::min<uint64_t>(blocks, 1u << 30);
  while (std::gcd(step, blocks) != 1) ++step;
  auto began = std::chrono::steady_clock::now();
  uint3 failedAt[kMaxMultiprocessors];
  uint64_t failed[kMaxMultiprocessors];
  std::fill(failed, failed + workers, UINT64_MAX);
  all.workers.run(workers, [&](int number) {
    Multiprocessor &processor = *all.processors[size_t(number)];
    processor.counters = {};
    processor.counters.launch = uint16_t(launch.number >> 16);
    // After a failure the blocks before it in that order still run, so that the first one is reported.
    for (uint64_t place; (place = launch.next++) < blocks && place < launch.failed;) {
      uint64_t block = (begin + place * step) % blocks;
      if (processor.run(launch, block)) continue;
      failedAt[number] = processor.blockIndex;
      failed[number] = place;
      uint64_t first = launch.failed;
      while (place < first && !launch.failed.compare_exchange_weak(first, place)) {
      }
      break;
    }
  });
  LaunchCounters sum;
  for (int i = 0; i < workers; ++i) sum.add(all.processors[size_t(i)]->counters);
  add(launch, sum, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  auto first = size_t(std::min_element(failed, failed + workers) - failed);
  if (failed[first] == UINT64_MAX) return cudaSuccess;
  setReport(describe(launch, failedAt[first], all.processors[first]->fault));
  return cudaErrorLaunchFailure;
}

}  // namespace semgen::simulator
