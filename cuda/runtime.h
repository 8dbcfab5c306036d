// The CUDA runtime, or the part of it that the simulator stands in for. Host code of the CUDA engine includes this.
#pragma once
#ifdef SEMGEN_SIMULATOR
#include "cuda/simulator/runtime.h"
#else
#include <cuda_runtime.h>
#endif
