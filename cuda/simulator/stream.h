// Between the runtime's functions, streams and launches.
#pragma once
#include <functional>
#include <string>

#include "cuda/simulator/runtime.h"

namespace semgen::simulator {

/// Keeps a message for lastReport and cudaGetErrorString.
void setReport(const std::string &text);

/// The dynamic shared memory that a block of this kernel may have: 48 KiB, or what was last asked for, be it less.
size_t dynamicSharedLimit(const void *kernel);

/// Runs a kernel now. Errors as a launch returns them.
cudaError_t runKernel(const KernelCall &call, dim3 grid, dim3 block, size_t dynamicShared);

/// Does the work now, or records it where the stream is captured.
cudaError_t submit(cudaStream_t stream, std::function<cudaError_t()> work);

/// Keeps an error for cudaGetLastError; returns it.
cudaError_t noted(cudaError_t error);

}  // namespace semgen::simulator
