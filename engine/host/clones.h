// Vectorised loops on any x86-64: the compiler builds a function once an instruction set, the loader picks one.
// With -ffp-contract=off every clone adds and multiplies in the same order and gives the same bits.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GLIBC__)  // the loader of glibc resolves clones; that of musl does not
#define SEMGEN_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SEMGEN_CLONES
#endif

/// A helper of such a function: inlined, so that it is compiled for the instruction set of its caller.
#define SEMGEN_INLINE inline __attribute__((always_inline))

namespace semgen {

/// Eight floats: one AVX register, which AVX-512 machines run as fast here, or two SSE ones. (GCC 12 takes vectors
/// wider than a register apart badly.) Loads and stores need no alignment.
typedef float Lanes __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t IntLanes __attribute__((vector_size(32), aligned(4), may_alias));
inline constexpr int64_t kLanes = 8;

/// Stores the first `count` lanes, all of them if there are more to store.
SEMGEN_INLINE void storeLanes(float *to, const Lanes &lanes, int64_t count) {
  if (count >= kLanes)
    *reinterpret_cast<Lanes *>(to) = lanes;
  else
    std::memcpy(to, &lanes, static_cast<size_t>(count) * sizeof(float));
}

}  // namespace semgen
