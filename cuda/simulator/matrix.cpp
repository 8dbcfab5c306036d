// Tensor cores: mma and ldmatrix, as warps do them together.
#include "cuda/simulator/memory.h"
#include "cuda/simulator/multiprocessor.h"
#include "engine/host/clones.h"

namespace semgen::simulator {

namespace {

/// d[16][8] += a[16][depth] * b[depth][8], each element's products added in order. Products of bfloat16 or tf32 values
/// are exact in float32, so that fusing them into the sum, or not, gives the same bits.
SEMGEN_CLONES void multiply(const float *a, const float *b, float *d, int depth) {
  for (int i = 0; i < 16; i += 4) {
    Lanes s0 = *reinterpret_cast<const Lanes *>(d + i * 8), s1 = *reinterpret_cast<const Lanes *>(d + i * 8 + 8);
    Lanes s2 = *reinterpret_cast<const Lanes *>(d + i * 8 + 16), s3 = *reinterpret_cast<const Lanes *>(d + i * 8 + 24);
    for (int k = 0; k < depth; ++k) {
      Lanes row = *reinterpret_cast<const Lanes *>(b + k * 8);
      s0 += a[i * depth + k] * row;
      s1 += a[(i + 1) * depth + k] * row;
      s2 += a[(i + 2) * depth + k] * row;
      s3 += a[(i + 3) * depth + k] * row;
    }
    *reinterpret_cast<Lanes *>(d + i * 8) = s0;
    *reinterpret_cast<Lanes *>(d + i * 8 + 8) = s1;
    *reinterpret_cast<Lanes *>(d + i * 8 + 16) = s2;
    *reinterpret_cast<Lanes *>(d + i * 8 + 24) = s3;
  }
}

inline float low(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
inline float high(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }
/// As tensor cores read a register as tf32: its low 13 bits do not count.
inline float tf32(uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); }

template <bool brain>
Accumulators multiplyTogether(Accumulators sum, Registers left, uint32_t b0, uint32_t b1, Site site) {
  Fiber &caller = self();
  caller.d = sum;
  caller.a = left;
  caller.b0 = b0;
  caller.b1 = b1;
  constexpr Together kind = brain ? Together::multiplyBf16 : Together::multiplyTf32;
  if (!caller.processor->gather(caller, kind, 0xffffffffu, site)) return caller.d;
  constexpr int depth = brain ? 16 : 8;
  alignas(64) float a[16 * depth], b[depth * 8], d[16 * 8];
  Fiber *lanes = caller.warp->fibers;
  for (int lane = 0; lane < 32; ++lane) {
    const Fiber &fiber = lanes[lane];
    int g = lane / 4, t = lane % 4;
    if constexpr (brain) {
      float *top = a + g * 16 + 2 * t, *bottom = top + 8 * 16;
      top[0] = low(fiber.a.r0), top[1] = high(fiber.a.r0);
      bottom[0] = low(fiber.a.r1), bottom[1] = high(fiber.a.r1);
      top[8] = low(fiber.a.r2), top[9] = high(fiber.a.r2);
      bottom[8] = low(fiber.a.r3), bottom[9] = high(fiber.a.r3);
      float *column = b + 2 * t * 8 + g;
      column[0] = low(fiber.b0), column[8] = high(fiber.b0);
      column[64] = low(fiber.b1), column[72] = high(fiber.b1);
    } else {
      float *top = a + g * 8 + t, *bottom = top + 8 * 8;
      top[0] = tf32(fiber.a.r0), bottom[0] = tf32(fiber.a.r1);
      top[4] = tf32(fiber.a.r2), bottom[4] = tf32(fiber.a.r3);
      b[t * 8 + g] = tf32(fiber.b0), b[(t + 4) * 8 + g] = tf32(fiber.b1);
    }
    float *top = d + g * 8 + 2 * t, *bottom = top + 8 * 8;
    top[0] = fiber.d.d0, top[1] = fiber.d.d1, bottom[0] = fiber.d.d2, bottom[1] = fiber.d.d3;
  }
  multiply(a, b, d, depth);
  for (int lane = 0; lane < 32; ++lane) {
    const float *top = d + lane / 4 * 8 + 2 * (lane % 4), *bottom = top + 8 * 8;
    lanes[lane].d = {top[0], top[1], bottom[0], bottom[1]};
  }
  ++(brain ? caller.processor->counters.mmaBf16 : caller.processor->counters.mmaTf32);
  caller.processor->release(caller, 0xffffffffu);
  return caller.d;
}

}  // namespace

Accumulators multiplyBf16(Accumulators d, Registers a, uint32_t b0, uint32_t b1, Site site) {
  return multiplyTogether<true>(d, a, b0, b1, site);
}
Accumulators multiplyTf32(Accumulators d, Registers a, uint32_t b0, uint32_t b1, Site site) {
  return multiplyTogether<false>(d, a, b0, b1, site);
}

Registers loadMatrices(const void *row, int count, bool transposed, Site site) {
  Fiber &caller = self();
  Multiprocessor &processor = *caller.processor;
  caller.row = row;
  if (!processor.gather(caller, Together::loadMatrices, 0xffffffffu, site)) return caller.matrices;
  Fiber *lanes = caller.warp->fibers;
  const uint8_t *rows[32];
  for (int first = 0; first < count * 8; first += 8) {  // a matrix, and a wavefront if its rows lie in different banks
    LaneAccess phase[8];
    for (int lane = first; lane < first + 8; ++lane) {
      rows[lane] = static_cast<const uint8_t *>(lanes[lane].row);
      auto address = reinterpret_cast<uintptr_t>(rows[lane]);
      if (address % 16 != 0)
        processor.fail(lanes[lane], 0, site, "misaligned ldmatrix row: its address must be a multiple of 16");
      if (inDevice(address)) processor.fail(lanes[lane], 0, site, "an ldmatrix row that is not in shared memory");
      processor.access(lanes[lane], address, 16, Sharing::read, 0, site, false);
      phase[lane - first] = {address, uint32_t(lane - first), 16};
    }
    countShared(phase, 8, processor.counters);
  }
  for (int lane = 0; lane < 32; ++lane) {
    uint32_t words[4] = {};
    for (int i = 0; i < count; ++i) {
      const uint8_t *const *matrix = rows + i * 8;
      if (transposed) {
        int at = lane / 4 * 2, from = lane % 4 * 2;
        words[i] = uint32_t(*reinterpret_cast<const uint16_t *>(matrix[from] + at)) |
                   uint32_t(*reinterpret_cast<const uint16_t *>(matrix[from + 1] + at)) << 16;
      } else {
        words[i] = *reinterpret_cast<const uint32_t *>(matrix[lane / 4] + lane % 4 * 4);
      }
    }
    lanes[lane].matrices = {words[0], words[1], words[2], words[3]};
  }
  processor.release(caller, 0xffffffffu);
  return caller.matrices;
}

}  // namespace semgen::simulator
