// What kernels see of the simulator: the names of CUDA C++ and the wrappers of device.cuh, with the same meaning.
// Everything that other threads can notice is a call into the simulator; plain reads and writes reach it through the
// compiler's instrumentation (see hooks.cpp).
#pragma once
#include <math.h>

#include <bit>
#include <cstdint>
#include <memory>  // before __noinline__ is a macro: it says so itself
#include <source_location>
#include <type_traits>

#include "cuda/simulator/vectors.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#ifndef __restrict__
#define __restrict__ __restrict
#endif
/// Static shared memory: one copy a worker thread, which runs one block at a time.
#define __shared__ static thread_local
#define SEMGEN_DEVICE inline
#define SHARED_MEMORY(type, name) type *name = static_cast<type *>(::semgen::simulator::dynamicShared())

namespace semgen::simulator {

using Site = std::source_location;  // of the call in the kernel, for messages

// --- where a thread is; constant within it, so the compiler may ask once -----------------------------------------
[[gnu::const]] uint3 threadIndex();
[[gnu::const]] uint3 blockIndex();
[[gnu::const]] dim3 blockExtents();
[[gnu::const]] dim3 gridExtents();
[[gnu::const]] void *dynamicShared();

// --- barriers ----------------------------------------------------------------------------------------------------
void blockBarrier(Site site);
int blockBarrierCount(int predicate, Site site);  // how many threads' predicates are not zero
void warpBarrier(uint32_t mask, Site site);
void namedBarrier(int id, int threads, Site site);

// --- warp collectives --------------------------------------------------------------------------------------------
uint32_t shuffle(uint32_t mask, uint32_t value, int source, Site site);  // source: a lane of the warp
uint32_t ballot(uint32_t mask, int predicate, Site site);
uint32_t activeMask();
uint32_t laneIndex();
// Fragments travel by value: arrays whose address never leaves the kernel are registers, which need no checks.
struct Accumulators {
  float d0, d1, d2, d3;
};
struct Registers {
  uint32_t r0, r1, r2, r3;
};
Accumulators multiplyBf16(Accumulators d, Registers a, uint32_t b0, uint32_t b1, Site site);
Accumulators multiplyTf32(Accumulators d, Registers a, uint32_t b0, uint32_t b1, Site site);
Registers loadMatrices(const void *row, int count, bool transposed, Site site);

// --- asynchronous copies -----------------------------------------------------------------------------------------
void copyAsync(void *shared, const void *global, uint32_t bytes, bool fill, Site site);
void commitCopies();
void waitForCopies(int pending);

// --- atomics: 4 or 8 bytes; the value before -----------------------------------------------------------------------
enum class Atomic { add, min, max, unsignedMin, unsignedMax, bitAnd, bitOr, exchange, compareExchange };
uint64_t atomic(Atomic kind, void *address, uint32_t bytes, uint64_t operand, uint64_t expected, Site site);

[[noreturn]] void trap(Site site);

}  // namespace semgen::simulator

#define threadIdx (::semgen::simulator::threadIndex())
#define blockIdx (::semgen::simulator::blockIndex())
#define blockDim (::semgen::simulator::blockExtents())
#define gridDim (::semgen::simulator::gridExtents())
inline constexpr int warpSize = 32;

#define SEMGEN_SITE ::semgen::simulator::Site site = ::semgen::simulator::Site::current()

inline void __syncthreads(SEMGEN_SITE) { semgen::simulator::blockBarrier(site); }
inline int __syncthreads_count(int predicate, SEMGEN_SITE) {
  return semgen::simulator::blockBarrierCount(predicate, site);
}
inline int __syncthreads_or(int predicate, SEMGEN_SITE) {
  return semgen::simulator::blockBarrierCount(predicate, site) != 0;
}
inline int __syncthreads_and(int predicate, SEMGEN_SITE) {
  return semgen::simulator::blockBarrierCount(!predicate, site) == 0;
}
inline void __syncwarp(uint32_t mask = 0xffffffffu, SEMGEN_SITE) { semgen::simulator::warpBarrier(mask, site); }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __trap(SEMGEN_SITE) { semgen::simulator::trap(site); }

inline uint32_t __activemask() { return semgen::simulator::activeMask(); }
inline uint32_t __ballot_sync(uint32_t mask, int predicate, SEMGEN_SITE) {
  return semgen::simulator::ballot(mask, predicate, site);
}
inline int __any_sync(uint32_t mask, int predicate, SEMGEN_SITE) {
  return semgen::simulator::ballot(mask, predicate, site) != 0;
}
inline int __all_sync(uint32_t mask, int predicate, SEMGEN_SITE) {
  return semgen::simulator::ballot(mask, predicate, site) == mask;
}

namespace semgen::simulator {
template <class T>
inline T shuffleValue(uint32_t mask, T value, int source, Site site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  if constexpr (sizeof(T) == 4) {
    return std::bit_cast<T>(shuffle(mask, std::bit_cast<uint32_t>(value), source, site));
  } else {
    auto bits = std::bit_cast<uint64_t>(value);
    uint64_t low = shuffle(mask, uint32_t(bits), source, site);
    return std::bit_cast<T>(low | uint64_t(shuffle(mask, uint32_t(bits >> 32), source, site)) << 32);
  }
}
}  // namespace semgen::simulator

/// As CUDA's: within segments of `width` lanes; a source outside the segment gives the lane's own value.
template <class T>
inline T __shfl_sync(uint32_t mask, T value, int source, int width = 32, SEMGEN_SITE) {
  int lane = int(semgen::simulator::laneIndex());
  return semgen::simulator::shuffleValue(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), site);
}
template <class T>
inline T __shfl_xor_sync(uint32_t mask, T value, int bits, int width = 32, SEMGEN_SITE) {
  int lane = int(semgen::simulator::laneIndex()), source = lane ^ bits;
  return semgen::simulator::shuffleValue(mask, value, source <= (lane | (width - 1)) ? source : lane, site);
}
template <class T>
inline T __shfl_down_sync(uint32_t mask, T value, uint32_t by, int width = 32, SEMGEN_SITE) {
  int lane = int(semgen::simulator::laneIndex()), source = lane + int(by);
  return semgen::simulator::shuffleValue(mask, value, source <= (lane | (width - 1)) ? source : lane, site);
}
template <class T>
inline T __shfl_up_sync(uint32_t mask, T value, uint32_t by, int width = 32, SEMGEN_SITE) {
  int lane = int(semgen::simulator::laneIndex()), source = lane - int(by);
  return semgen::simulator::shuffleValue(mask, value, source >= (lane & ~(width - 1)) ? source : lane, site);
}

// Integers only: sums of floats by atomics would have an order of their own on every run.
#define SEMGEN_ATOMIC(name, T, kind)                                                           \
  inline T name(T *address, T value, SEMGEN_SITE) {                                            \
    using namespace semgen::simulator;                                                         \
    return static_cast<T>(atomic(Atomic::kind, address, sizeof(T), uint64_t(value), 0, site)); \
  }
SEMGEN_ATOMIC(atomicAdd, int, add)
SEMGEN_ATOMIC(atomicAdd, unsigned, add)
SEMGEN_ATOMIC(atomicAdd, unsigned long long, add)
SEMGEN_ATOMIC(atomicMin, int, min)
SEMGEN_ATOMIC(atomicMax, int, max)
SEMGEN_ATOMIC(atomicMin, unsigned, unsignedMin)
SEMGEN_ATOMIC(atomicMax, unsigned, unsignedMax)
SEMGEN_ATOMIC(atomicMin, unsigned long long, unsignedMin)
SEMGEN_ATOMIC(atomicMax, unsigned long long, unsignedMax)
SEMGEN_ATOMIC(atomicAnd, unsigned, bitAnd)
SEMGEN_ATOMIC(atomicOr, unsigned, bitOr)
SEMGEN_ATOMIC(atomicExch, int, exchange)
SEMGEN_ATOMIC(atomicExch, unsigned, exchange)
SEMGEN_ATOMIC(atomicExch, unsigned long long, exchange)
#undef SEMGEN_ATOMIC
#define SEMGEN_ATOMIC(T)                                                                                 \
  inline T atomicCAS(T *address, T expected, T value, SEMGEN_SITE) {                                     \
    using namespace semgen::simulator;                                                                   \
    return static_cast<T>(                                                                               \
        atomic(Atomic::compareExchange, address, sizeof(T), uint64_t(value), uint64_t(expected), site)); \
  }
SEMGEN_ATOMIC(int)
SEMGEN_ATOMIC(unsigned)
SEMGEN_ATOMIC(unsigned long long)
#undef SEMGEN_ATOMIC

// --- arithmetic ----------------------------------------------------------------------------------------------------
template <class T>
inline T __ldg(const T *address) {
  return *address;
}
template <class T>
inline T __ldcs(const T *address) {
  return *address;
}
template <class T>
inline void __stcs(T *address, T value) {
  *address = value;
}
inline int __popcll(unsigned long long bits) { return std::popcount(bits); }
inline int __popc(uint32_t bits) { return std::popcount(bits); }
inline int __clz(int bits) { return std::countl_zero(uint32_t(bits)); }
inline int __ffs(int bits) { return bits == 0 ? 0 : std::countr_zero(uint32_t(bits)) + 1; }
inline uint32_t __umulhi(uint32_t a, uint32_t b) { return uint32_t(uint64_t(a) * b >> 32); }
inline float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t __float_as_uint(float value) { return std::bit_cast<uint32_t>(value); }
inline float __int_as_float(int bits) { return std::bit_cast<float>(bits); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline int __float2int_rn(float value) { return int(lrintf(value)); }
inline int __float2int_rd(float value) { return int(floorf(value)); }
inline float __int2float_rn(int value) { return float(value); }
inline float __uint2float_rn(uint32_t value) { return float(value); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
// Never contracted into a fused multiply-add, on a card: kernels are compiled with -ffp-contract=off here.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __expf(float a) { return expf(a); }
inline float __logf(float a) { return logf(a); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float a) { return a > 0.0f ? (a < 1.0f ? a : 1.0f) : 0.0f; }
inline float rsqrtf(float a) { return 1.0f / sqrtf(a); }

/// CUDA's global min and max: of two values of one kind.
template <class T, class U>
inline std::common_type_t<T, U> min(T a, U b) {
  return b < a ? b : a;
}
template <class T, class U>
inline std::common_type_t<T, U> max(T a, U b) {
  return a < b ? b : a;
}

namespace semgen::cuda {

struct bf16 {
  uint16_t bits;
};
inline uint16_t bits_of(bf16 value) { return value.bits; }
inline bf16 bf16_of_bits(uint16_t bits) { return {bits}; }
inline bf16 float2bf16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};  // NaN, as cards write it
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline uint32_t to_tf32(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0x1000u) & ~0x1fffu;
}

inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SEMGEN_SITE) {
  auto sum = simulator::multiplyBf16({d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, b[0], b[1], site);
  d[0] = sum.d0, d[1] = sum.d1, d[2] = sum.d2, d[3] = sum.d3;
}
inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SEMGEN_SITE) {
  auto sum = simulator::multiplyTf32({d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, b[0], b[1], site);
  d[0] = sum.d0, d[1] = sum.d1, d[2] = sum.d2, d[3] = sum.d3;
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void *row, SEMGEN_SITE) {
  auto part = simulator::loadMatrices(row, 4, false, site);
  r[0] = part.r0, r[1] = part.r1, r[2] = part.r2, r[3] = part.r3;
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, SEMGEN_SITE) {
  auto part = simulator::loadMatrices(row, 4, true, site);
  r[0] = part.r0, r[1] = part.r1, r[2] = part.r2, r[3] = part.r3;
}
inline void ldmatrix_x2(uint32_t (&r)[2], const void *row, SEMGEN_SITE) {
  auto part = simulator::loadMatrices(row, 2, false, site);
  r[0] = part.r0, r[1] = part.r1;
}
inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void *row, SEMGEN_SITE) {
  auto part = simulator::loadMatrices(row, 2, true, site);
  r[0] = part.r0, r[1] = part.r1;
}
inline void cp_async_16(void *shared, const void *global, bool fill = true, SEMGEN_SITE) {
  simulator::copyAsync(shared, global, 16, fill, site);
}
inline void cp_async_8(void *shared, const void *global, bool fill = true, SEMGEN_SITE) {
  simulator::copyAsync(shared, global, 8, fill, site);
}
inline void cp_async_4(void *shared, const void *global, bool fill = true, SEMGEN_SITE) {
  simulator::copyAsync(shared, global, 4, fill, site);
}
inline void cp_async_commit() { simulator::commitCopies(); }
template <int pending>
inline void cp_async_wait() {
  simulator::waitForCopies(pending);
}
inline void barrier_sync(int id, int threads, SEMGEN_SITE) { simulator::namedBarrier(id, threads, site); }

}  // namespace semgen::cuda

inline float __bfloat162float(semgen::cuda::bf16 value) { return std::bit_cast<float>(uint32_t(value.bits) << 16); }
