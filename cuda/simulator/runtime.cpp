// The device, its memory, and errors. Streams and graphs: stream.cpp.
#include "cuda/simulator/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "cuda/simulator/memory.h"
#include "cuda/simulator/stream.h"

using namespace semgen::simulator;

namespace {

thread_local cudaError_t lastError = cudaSuccess;

bool isDevice(const void *address) { return inDevice(reinterpret_cast<uintptr_t>(address)); }

cudaError_t refuse(const std::string &why) {
  setReport(why);
  return cudaErrorIllegalAddress;
}

/// Checks and copies now.
cudaError_t copyNow(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0) return cudaSuccess;
  auto target = reinterpret_cast<uintptr_t>(to), source = reinterpret_cast<uintptr_t>(from);
  bool toDevice = isDevice(to), fromDevice = isDevice(from);
  bool wantTo = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool wantFrom = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind != cudaMemcpyDefault && (toDevice != wantTo || fromDevice != wantFrom))
    return refuse("a copy whose kind does not fit its addresses");
  if (toDevice)
    if (std::string why = obstacle(target, bytes, true); !why.empty())
      return refuse("a copy of " + std::to_string(bytes) + " bytes to the device " + why);
  if (fromDevice) {
    // Between places of the device, bytes may travel unwritten, and stay so. To the host they may not.
    std::string why = obstacle(source, bytes, toDevice);
    if (!why.empty()) return refuse("a copy of " + std::to_string(bytes) + " bytes from the device " + why);
  }
  std::memmove(to, from, bytes);
  if (toDevice && fromDevice)
    std::memmove(shadowOf(target), shadowOf(source), bytes);
  else if (toDevice)
    markWritten(target, bytes);
  return cudaSuccess;
}

}  // namespace

namespace semgen::simulator {
cudaError_t noted(cudaError_t error) {
  if (error != cudaSuccess) lastError = error;
  return error;
}
}  // namespace semgen::simulator

cudaError_t cudaGetLastError() { return std::exchange(lastError, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return lastError; }

const char *cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevicePointer:
      return "cudaErrorInvalidDevicePointer";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorNotSupported:
      return "cudaErrorNotSupported";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
  }
  return "an unknown error";
}

const char *cudaGetErrorString(cudaError_t error) {
  if (error != cudaErrorLaunchFailure && error != cudaErrorIllegalAddress && error != cudaErrorInvalidConfiguration)
    return cudaGetErrorName(error);
  thread_local std::string text;  // as long as the thread asks for no other
  text = lastReport();
  return text.c_str();
}

cudaError_t cudaGetDeviceCount(int *count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : noted(cudaErrorInvalidDevice); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
  if (device != 0) return noted(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "CUDA simulator");
  properties->totalGlobalMem = deviceMemoryTotal();
  properties->sharedMemPerBlock = 48 * 1024;
  properties->sharedMemPerBlockOptin = sharedMemoryLimit();
  properties->sharedMemPerMultiprocessor = sharedMemoryLimit() + 1024;
  properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 0x7fffffff;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->major = 9;
  properties->multiProcessorCount = multiprocessors();
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxBlocksPerMultiProcessor = 32;
  properties->l2CacheSize = 50 << 20;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return noted(cudaErrorInvalidDevice);
  if (attribute != cudaDevAttrMaxSharedMemoryPerBlockOptin) return noted(cudaErrorInvalidValue);
  *value = int(sharedMemoryLimit());
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDeviceReset() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) { return cudaDriverGetVersion(version); }

cudaError_t cudaMalloc(void **device, size_t bytes) {
  *device = bytes == 0 ? nullptr : allocateDevice(bytes);
  return *device != nullptr || bytes == 0 ? cudaSuccess : noted(cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void *device) {
  return device == nullptr || freeDevice(device) ? cudaSuccess : noted(cudaErrorInvalidValue);
}
cudaError_t cudaMallocAsync(void **device, size_t bytes, cudaStream_t) { return cudaMalloc(device, bytes); }
cudaError_t cudaFreeAsync(void *device, cudaStream_t) { return cudaFree(device); }
cudaError_t cudaMallocHost(void **host, size_t bytes) {
  *host = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return *host != nullptr || bytes == 0 ? cudaSuccess : noted(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void *host) {
  std::free(host);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
  *free = deviceMemoryFree();
  *total = deviceMemoryTotal();
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  return noted(copyNow(to, from, bytes, kind));
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return submit(stream, [=] { return copyNow(to, from, bytes, kind); });
}
cudaError_t cudaMemcpy2DAsync(void *to, size_t toPitch, const void *from, size_t fromPitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  if (width > toPitch || width > fromPitch) return noted(cudaErrorInvalidValue);
  return submit(stream, [=] {
    for (size_t row = 0; row < height; ++row) {
      auto *target = static_cast<char *>(to) + row * toPitch;
      cudaError_t error = copyNow(target, static_cast<const char *>(from) + row * fromPitch, width, kind);
      if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
  });
}
cudaError_t cudaMemset(void *device, int value, size_t bytes) { return cudaMemsetAsync(device, value, bytes, nullptr); }
cudaError_t cudaMemsetAsync(void *device, int value, size_t bytes, cudaStream_t stream) {
  return submit(stream, [=] {
    auto address = reinterpret_cast<uintptr_t>(device);
    if (bytes == 0) return cudaSuccess;
    if (std::string why = obstacle(address, bytes, true); !why.empty())
      return refuse("a memset of " + std::to_string(bytes) + " bytes " + why);
    std::memset(device, value, bytes);
    markWritten(address, bytes);
    return cudaSuccess;
  });
}

namespace {
std::mutex limitsLock;
std::map<const void *, size_t> limits;  // of dynamic shared memory, of the kernels that asked
}  // namespace

size_t semgen::simulator::dynamicSharedLimit(const void *kernel) {
  std::lock_guard lock(limitsLock);
  auto asked = limits.find(kernel);
  return asked == limits.end() ? 48 * 1024 : asked->second;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value >= 0 && size_t(value) <= sharedMemoryLimit()) {
    std::lock_guard lock(limitsLock);
    limits[kernel] = size_t(value);
    return cudaSuccess;
  }
  setReport("a block has at most " + std::to_string(sharedMemoryLimit() / 1024) +
            " KiB of dynamic shared memory, not " + std::to_string(value) + " bytes");
  return noted(cudaErrorInvalidConfiguration);
}
