// Vectorised loops on any x86-64: the compiler builds a function once an instruction set, the loader picks one.
// With -ffp-contract=off every clone adds and multiplies in the same order and gives the same bits.
#pragma once

#if defined(__x86_64__) && defined(__ELF__)
#define SEMGEN_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SEMGEN_CLONES
#endif

/// A helper of such a function: inlined, so that it is compiled for the instruction set of its caller.
#define SEMGEN_INLINE inline __attribute__((always_inline))
