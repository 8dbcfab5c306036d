// Winograd's loops for AVX-512: blocks of 16 channels.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "engine/cpu/winograd_loops.h"

// From here on: the headers stay what every machine can run.
#pragma GCC target("avx512f,avx512vl,avx512bw,fma")
#define SEMGEN_LOOPS avx512
#define SEMGEN_LANES 16
#include "engine/cpu/winograd_loops.inc"
