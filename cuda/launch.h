// The one way in which kernels are started, on cards and in the simulator:
//   launch(stream, kernel, Grid{x, y, z}, Block{threads}, bytes of dynamic shared memory, arguments...)
#pragma once
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

#include "cuda/runtime.h"
#include "engine/error.h"

#ifndef SEMGEN_SIMULATOR
#include <nvtx3/nvToolsExt.h>
#endif

namespace semgen::cuda {

struct Grid {
  unsigned x, y = 1, z = 1;
};
struct Block {
  unsigned x, y = 1, z = 1;
};

/// Throws Error: OUT_OF_MEMORY where memory ran out, NATIVE for all else. `what` was asked for: "cudaMemcpyAsync".
inline void check(cudaError_t status, const char *what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // so that the next call does not find it again
  throw Error(status == cudaErrorMemoryAllocation ? "OUT_OF_MEMORY" : "NATIVE",
              std::string(what) + " failed: " + cudaGetErrorString(status) +
                  (status == cudaErrorMemoryAllocation ? "; a smaller --batch needs less memory." : "."));
}

/// Lets a kernel's blocks have as much dynamic shared memory as the current card gives to one. Always all of it: the
/// limit belongs to the kernel, so one launch's own would refuse another's, of more, that is recorded or started
/// meanwhile.
inline void allowSharedMemory(const void *kernel) {
  int card = 0, most = 0;
  check(cudaGetDevice(&card), "Asking for the card");
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, card), "Asking about the card");
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most), "Asking for shared memory");
}

/// Starts a kernel. Its parameters' types decide: arguments are converted to them. Throws Error NATIVE when the
/// launch is refused (and, in the simulator, when a check found a fault in the kernel).
template <class... P, class... A>
void launch(cudaStream_t stream, void (*kernel)(P...), Grid grid, Block block, size_t sharedBytes, A &&...arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "a kernel takes as many arguments as it has parameters");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;  // nothing to do; CUDA calls it an error
  // Above 48 KiB a kernel must say so. Cheap, and forgetting it on one path would show only there.
  if (sharedBytes > 48 * 1024) allowSharedMemory(reinterpret_cast<const void *>(kernel));
#ifdef SEMGEN_SIMULATOR
  struct Call final : simulator::KernelCall {
    Call(void (*kernel)(P...), P... values)
        : KernelCall(reinterpret_cast<const void *>(kernel), sizeof(Call)), function(kernel), values(values...) {}
    void run() const override { std::apply(function, values); }
    void (*function)(P...);
    std::tuple<P...> values;
  };
  check(simulator::launchKernel(new Call(kernel, static_cast<P>(std::forward<A>(arguments))...),
                                dim3(grid.x, grid.y, grid.z), dim3(block.x, block.y, block.z), sharedBytes, stream),
        "A kernel");
#else
  const char *name = nullptr;
  if (cudaFuncGetName(&name, reinterpret_cast<const void *>(kernel)) != cudaSuccess) name = "kernel";
  std::tuple<P...> values(static_cast<P>(std::forward<A>(arguments))...);
  nvtxRangePushA(name);
  cudaError_t status = std::apply(
      [&](P &...value) {
        void *pointers[] = {static_cast<void *>(&value)..., nullptr};
        return cudaLaunchKernel(reinterpret_cast<const void *>(kernel), dim3(grid.x, grid.y, grid.z),
                                dim3(block.x, block.y, block.z), pointers, sharedBytes, stream);
      },
      values);
  nvtxRangePop();
  check(status, name);
#endif
}

}  // namespace semgen::cuda
