// CUDA's vector types and dim3, for the host compiler. Those of 8 and 16 bytes are read and written as one access, as
// a card does: their copies go through a vector register, and so does what the checks and counters see of them.
#pragma once
#include <cstdint>

namespace semgen::simulator {
typedef uint32_t Words2 __attribute__((vector_size(8), may_alias));
typedef uint32_t Words4 __attribute__((vector_size(16), may_alias));
}  // namespace semgen::simulator

#define SEMGEN_VECTOR2(name, T)                                                    \
  struct alignas(2 * sizeof(T)) name {                                             \
    T x, y;                                                                        \
    name() = default;                                                              \
    constexpr name(T x, T y) : x(x), y(y) {}                                       \
    name(const name &other) { *this = other; }                                     \
    name &operator=(const name &other) {                                           \
      using Words = semgen::simulator::Words2;                                     \
      *reinterpret_cast<Words *>(this) = *reinterpret_cast<const Words *>(&other); \
      return *this;                                                                \
    }                                                                              \
  };                                                                               \
  inline name make_##name(T x, T y) { return name(x, y); }
#define SEMGEN_VECTOR4(name, T)                                                    \
  struct alignas(4 * sizeof(T)) name {                                             \
    T x, y, z, w;                                                                  \
    name() = default;                                                              \
    constexpr name(T x, T y, T z, T w) : x(x), y(y), z(z), w(w) {}                 \
    name(const name &other) { *this = other; }                                     \
    name &operator=(const name &other) {                                           \
      using Words = semgen::simulator::Words4;                                     \
      *reinterpret_cast<Words *>(this) = *reinterpret_cast<const Words *>(&other); \
      return *this;                                                                \
    }                                                                              \
  };                                                                               \
  inline name make_##name(T x, T y, T z, T w) { return name(x, y, z, w); }

SEMGEN_VECTOR2(int2, int32_t)
SEMGEN_VECTOR2(uint2, uint32_t)
SEMGEN_VECTOR2(float2, float)
SEMGEN_VECTOR4(int4, int32_t)
SEMGEN_VECTOR4(uint4, uint32_t)
SEMGEN_VECTOR4(float4, float)
#undef SEMGEN_VECTOR2
#undef SEMGEN_VECTOR4

struct int3 {
  int32_t x, y, z;
};
struct uint3 {
  uint32_t x, y, z;
};
struct float3 {
  float x, y, z;
};
inline int3 make_int3(int32_t x, int32_t y, int32_t z) { return {x, y, z}; }
inline uint3 make_uint3(uint32_t x, uint32_t y, uint32_t z) { return {x, y, z}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }

struct dim3 {
  uint32_t x, y, z;
  constexpr dim3(uint32_t x = 1, uint32_t y = 1, uint32_t z = 1) : x(x), y(y), z(z) {}
};
