// The CUDA engine: one card (or the simulator, which is compiled from the same files), with a stream of programs and
// one of what the host asks for beside them.
#include "engine/engine.h"

#include <optional>

#include "cuda/compiler.h"
#include "cuda/conv3d/choices.h"
#include "cuda/launch.h"
#include "cuda/lifetimes.h"
#include "cuda/perturb/filler.h"

namespace semgen {

namespace {

using cuda::check;

/// "NVIDIA H200, compute capability 9.0".
std::string cardName(int gpu) {
  cudaDeviceProp card;
  check(cudaGetDeviceProperties(&card, gpu), "Asking about the card");
  return std::string(card.name) + ", compute capability " + std::to_string(card.major) + "." +
         std::to_string(card.minor);
}

class DeviceBuffer : public Buffer {
 public:
  using Buffer::Buffer;
  ~DeviceBuffer() override {
    if (data_) cudaFree(data_);
  }
};

class CudaEngine : public Engine {
 public:
  explicit CudaEngine(const EngineOptions &options)
      : gpu_(options.gpu), products_(options.tf32 ? cuda::Float32Products::tf32 : cuda::Float32Products::exact) {
    use();
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "Making a stream");
    check(cudaStreamCreateWithFlags(&transfers_, cudaStreamNonBlocking), "Making a stream");
    choices_.emplace(*this, gpu_, stream_, options.tiles);
  }
  ~CudaEngine() override {
    choices_.reset();
    cudaStreamDestroy(transfers_);
    cudaStreamDestroy(stream_);
  }

  std::unique_ptr<Compiler> compiler(Program &program) override {
    use();
    return std::make_unique<cuda::CudaCompiler>(program, *this, gpu_, stream_, products_, *choices_);
  }

  std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options) override {
    return cuda::cubeFiller(options, gpu_, spares_);
  }

  std::unique_ptr<Buffer> allocate(size_t bytes, const char *purpose) override {
    if (bytes == 0) return std::make_unique<DeviceBuffer>(nullptr, 0);
    use();
    void *data = nullptr;
    cudaError_t status = cudaMalloc(&data, bytes);
    while (status == cudaErrorMemoryAllocation && spares_.giveBack()) {
      cudaGetLastError();
      use();
      status = cudaMalloc(&data, bytes);
    }
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      outOfMemory(bytes, purpose, freeBytes());
    } else {
      check(status, "Allocating memory");
    }
    auto buffer = std::make_unique<DeviceBuffer>(data, bytes);
    check(cudaMemsetAsync(data, 0, bytes, transfers_), "Clearing memory");
    check(cudaStreamSynchronize(transfers_), "Clearing memory");
    return buffer;
  }

  TileTuner *tuner() override { return &*choices_; }
  std::string processor() const override { return cardName(gpu_); }
  size_t guardBytes() const override { return cuda::guardBytes; }
  size_t freeBytes() override {
    use();
    size_t available = 0, all = 0;
    check(cudaMemGetInfo(&available, &all), "Asking for free memory");
    return available;
  }

  void upload(void *to, const void *from, size_t bytes) override { move(to, from, bytes, cudaMemcpyHostToDevice); }
  void download(void *to, const void *from, size_t bytes) override { move(to, from, bytes, cudaMemcpyDeviceToHost); }
  void copy(void *to, const void *from, size_t bytes) override { move(to, from, bytes, cudaMemcpyDeviceToDevice); }

 private:
  /// A thread's current card is its own: every entry says which it means.
  void use() { check(cudaSetDevice(gpu_), "Choosing the card"); }
  void move(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    use();
    check(cudaMemcpyAsync(to, from, bytes, kind, transfers_), "A copy");
    check(cudaStreamSynchronize(transfers_), "A copy");
  }

  int gpu_;
  cuda::Float32Products products_;
  cuda::SpareMemories spares_;
  // Of programs, which one thread may be capturing; and of clearing and copying, which any thread does meanwhile. Both
  // are waited for before anyone goes on, so neither needs to wait for the other.
  cudaStream_t stream_ = nullptr, transfers_ = nullptr;
  std::optional<cuda::Choices> choices_;
};

/// "13.0"
std::string cudaVersion(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

/// Why the runtime refuses the driver: it takes those that serve its own major version of CUDA, or a later one.
std::string unfitDriver() {
  int driver = 0, runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA driver is installed";
  cudaRuntimeGetVersion(&runtime);
  return "the NVIDIA driver serves CUDA " + cudaVersion(driver) + " and this was built with " + cudaVersion(runtime) +
         ": it needs a newer driver, or to be built with CUDA " + std::to_string(driver / 1000);
}

/// Why there is no card to use; empty where there is one.
std::string noCard() {
  int cards = 0;
  cudaError_t status = cudaGetDeviceCount(&cards);
  cudaGetLastError();
  if (status == cudaErrorInsufficientDriver) return unfitDriver();
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return cards == 0 ? "no NVIDIA card was found" : "";
}

}  // namespace

std::shared_ptr<Engine> openEngine(const EngineOptions &options) {
  if (std::string why = noCard(); !why.empty()) throw Error("NO_DEVICE", "CUDA cannot be used here: " + why + ".");
  int cards = 0;
  check(cudaGetDeviceCount(&cards), "Counting the cards");
  if (options.gpu < 0 || options.gpu >= cards)
    throw Error("NO_DEVICE", "There is no card " + std::to_string(options.gpu) + " (--gpu): this machine has " +
                                 std::to_string(cards) + ", counted from 0.");
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, options.gpu), "Asking about the card");
  if (properties.major < 8)
    throw Error("NO_DEVICE", "--device cuda needs compute capability 8.0 or later (Ampere, 2020), and card " +
                                 std::to_string(options.gpu) + " is " + cardName(options.gpu) +
                                 ": choose another with --gpu, or --device cpu.");
  return std::make_shared<CudaEngine>(options);
}

EngineInfo engineInfo() {
  EngineInfo info;
  int runtime = 0;
  cudaRuntimeGetVersion(&runtime);
  info.library = std::string(SEMGEN_ENGINE_NAME) == "sim" ? "CUDA simulator" : "CUDA " + cudaVersion(runtime);
  info.bf16 = true;
  info.unavailable = noCard();
  try {
    if (info.unavailable.empty()) info.instructions = cardName(0);
  } catch (const Error &error) {  // it is counted, but does not answer; another may
    info.instructions = std::string("card 0 is of no use: ") + error.what();
  }
  return info;
}

}  // namespace semgen
