// Winograd's loops for AVX2: blocks of 8 channels.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "engine/cpu/winograd_loops.h"

// From here on: the headers stay what every machine can run.
#pragma GCC target("avx2,fma")
#define SEMGEN_LOOPS avx2
#define SEMGEN_LANES 8
#include "engine/cpu/winograd_loops.inc"
