// The only file that knows a real card from the simulator. Kernels include it and nothing else of CUDA.
//
// Both sides give kernels CUDA C++ (__global__, __shared__, threadIdx, __syncthreads, __shfl_xor_sync, ...) and, in
// namespace semgen::cuda, the wrappers below. Fragment layouts are those of the PTX manual (mma.m16n8k16, m16n8k8).
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#define SEMGEN_DEVICE __device__ __forceinline__
/// The block's dynamic shared memory as `type *name`, aligned to 128 bytes.
#define SHARED_MEMORY(type, name)                                \
  extern __shared__ __align__(128) unsigned char sharedBytes_[]; \
  type *name = reinterpret_cast<type *>(sharedBytes_)

namespace semgen::cuda {

using bf16 = __nv_bfloat16;

/// To the nearest bfloat16, ties to even.
__host__ SEMGEN_DEVICE bf16 float2bf16(float value) { return __float2bfloat16_rn(value); }
__host__ SEMGEN_DEVICE uint16_t bits_of(bf16 value) { return __bfloat16_as_ushort(value); }
__host__ SEMGEN_DEVICE bf16 bf16_of_bits(uint16_t bits) { return __ushort_as_bfloat16(bits); }

/// d += a * b on tensor cores: 16x8 float32, 16x16 and 16x8 bfloat16.
SEMGEN_DEVICE void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// d += a * b on tensor cores: 16x8 float32, 16x8 and 8x8 tf32 (see to_tf32).
SEMGEN_DEVICE void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// To the nearest tf32, ties away from zero.
SEMGEN_DEVICE uint32_t to_tf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

SEMGEN_DEVICE uint32_t shared_address(const void *pointer) { return uint32_t(__cvta_generic_to_shared(pointer)); }

/// Loads 8x8 matrices of 16-bit elements from shared memory. Lanes 8 i .. 8 i + 7 give the rows of matrix i, 16 bytes
/// each, aligned to 16; r[i] is this lane's part of matrix i. For x2 the addresses of lanes 16-31 are not used.
SEMGEN_DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
SEMGEN_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
SEMGEN_DEVICE void ldmatrix_x2(uint32_t (&r)[2], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
SEMGEN_DEVICE void ldmatrix_x2_trans(uint32_t (&r)[2], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}

/// Starts a copy of 16 (8, 4) bytes from global to shared memory, both aligned to that. Without `fill`, zeros are
/// written and global memory is not read (the address is then not followed). The data is there for this thread after
/// cp_async_wait, for others after a barrier on top of that.
SEMGEN_DEVICE void cp_async_16(void *shared, const void *global, bool fill = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(fill ? 16 : 0)
               : "memory");
}
SEMGEN_DEVICE void cp_async_8(void *shared, const void *global, bool fill = true) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(fill ? 8 : 0)
               : "memory");
}
SEMGEN_DEVICE void cp_async_4(void *shared, const void *global, bool fill = true) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(fill ? 4 : 0)
               : "memory");
}
/// Closes the group of the copies started since the last commit.
SEMGEN_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most the latest `pending` groups of this thread are still on their way.
template <int pending>
SEMGEN_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

/// Barrier `id` (1-15) among `threads` threads of the block, whole warps: a multiple of 32.
SEMGEN_DEVICE void barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace semgen::cuda

#else
#include "cuda/simulator/device.h"
#endif

namespace semgen::cuda {

/// Two values as bfloat16 in one word, `low` in the lower half (the lower address).
SEMGEN_DEVICE uint32_t pack_bf16(float low, float high) {
  return uint32_t(bits_of(float2bf16(low))) | uint32_t(bits_of(float2bf16(high))) << 16;
}
SEMGEN_DEVICE float2 unpack_bf16(uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

/// A value of an activation as float32, and back.
SEMGEN_DEVICE float to_float(float value) { return value; }
SEMGEN_DEVICE float to_float(bf16 value) { return __bfloat162float(value); }
template <class T>
SEMGEN_DEVICE T from_float(float value);
template <>
SEMGEN_DEVICE float from_float<float>(float value) {
  return value;
}
template <>
SEMGEN_DEVICE bf16 from_float<bf16>(float value) {
  return float2bf16(value);
}

}  // namespace semgen::cuda
