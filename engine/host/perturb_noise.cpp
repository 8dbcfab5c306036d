#include "engine/host/perturb_noise.h"

#include <algorithm>

namespace semgen {

namespace {
constexpr int kBlocks = 16;  // generated side by side: one AVX-512 register of each word
}

SEMGEN_CLONES
void fillUniform(const PhiloxStream &stream, uint32_t firstBlock, float low, float high, float *out, size_t count) {
  const float range = high - low;
  for (size_t start = 0; start < count; start += 4 * kBlocks) {
    uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
    const uint32_t block = firstBlock + static_cast<uint32_t>(start / 4);
    for (int lane = 0; lane < kBlocks; lane++) {
      c0[lane] = block + static_cast<uint32_t>(lane);
      c1[lane] = stream.counter[0];
      c2[lane] = stream.counter[1];
      c3[lane] = stream.counter[2];
    }
    uint32_t k0 = stream.key[0], k1 = stream.key[1];
    for (int round = 0; round < 10; round++, k0 += kPhiloxWeyl0, k1 += kPhiloxWeyl1)
      for (int lane = 0; lane < kBlocks; lane++) philoxRound(c0[lane], c1[lane], c2[lane], c3[lane], k0, k1);
    float numbers[4 * kBlocks];
    for (int lane = 0; lane < kBlocks; lane++) {
      numbers[4 * lane] = low + range * philoxUniform(c0[lane]);
      numbers[4 * lane + 1] = low + range * philoxUniform(c1[lane]);
      numbers[4 * lane + 2] = low + range * philoxUniform(c2[lane]);
      numbers[4 * lane + 3] = low + range * philoxUniform(c3[lane]);
    }
    std::copy_n(numbers, std::min<size_t>(4 * kBlocks, count - start), out + start);
  }
}

}  // namespace semgen
