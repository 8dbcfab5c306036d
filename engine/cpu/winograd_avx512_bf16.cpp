// Winograd's loops for AVX-512 with instructions for bfloat16: blocks of 16 channels.
#include <immintrin.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include "engine/cpu/winograd_loops.h"

// From here on: the headers stay what every machine can run.
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512bf16,fma")
#define SEMGEN_LOOPS avx512Bf16
#define SEMGEN_LANES 16
#define SEMGEN_BFLOAT16
#include "engine/cpu/winograd_loops.inc"
