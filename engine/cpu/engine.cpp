// The CPU engine: oneDNN on a fixed number of OpenMP threads.
#include "engine/engine.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "engine/cpu/compiler.h"
#include "engine/cpu/cube_filler.h"
#include "engine/cpu/host_buffer.h"

namespace semgen {

namespace {

std::string instructions() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "SSE4.1";
    case dnnl::cpu_isa::avx:
      return "AVX";
    case dnnl::cpu_isa::avx2:
      return "AVX2";
    case dnnl::cpu_isa::avx2_vnni:
      return "AVX2 VNNI";
    case dnnl::cpu_isa::avx512_core:
      return "AVX-512";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "AVX-512 VNNI";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "AVX-512 BF16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "AMX";
    default:
      return "another instruction set";
  }
}

class CpuEngine : public Engine {
 public:
  CpuEngine(int threads, size_t hostMemory)
      : threads_(threads), hostMemory_(hostMemory), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}
  std::unique_ptr<Compiler> compiler(Program &program) override {
    cpu::teamOf(threads_);
    return std::make_unique<cpu::CpuCompiler>(program, engine_, stream_, threads_);
  }
  std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options) override { return cpu::cubeFiller(options); }
  std::unique_ptr<Buffer> allocate(size_t bytes, const char *purpose) override {
    return std::make_unique<cpu::HostBuffer>(bytes, purpose, hostMemory_);
  }
  std::string processor() const override { return instructions(); }
  void upload(void *to, const void *from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void *to, const void *from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy(void *to, const void *from, size_t bytes) override { std::memcpy(to, from, bytes); }

 private:
  int threads_;
  size_t hostMemory_;
  dnnl::engine engine_;
  dnnl::stream stream_;
};

}  // namespace

std::shared_ptr<Engine> openEngine(const EngineOptions &options) {
  int threads = options.threads;
  if (threads == 0) threads = int(std::thread::hardware_concurrency());
  // OMP_THREAD_LIMIT grants no more, whatever is asked.
  return std::make_shared<CpuEngine>(std::min(threads, omp_get_thread_limit()), options.hostMemory);
}

EngineInfo engineInfo() {
  const dnnl_version_t *version = dnnl_version();
  EngineInfo info;
  info.library = "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
                 std::to_string(version->patch);
  info.instructions = instructions();
  dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  info.bf16 = isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
  return info;
}

}  // namespace semgen
