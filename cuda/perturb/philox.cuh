// Philox4x32-10 in kernels: the words, uniforms and integers of engine/host/philox.h, bit for bit.
#pragma once
#include "cuda/device.cuh"
#include "cuda/perturb/kernels.h"

namespace semgen::cuda {

/// The four words of one block of a stream.
SEMGEN_DEVICE uint4 philoxWords(const NoiseStream &stream, uint32_t block) {
  uint32_t c0 = block, c1 = stream.counter[0], c2 = stream.counter[1], c3 = stream.counter[2];
  uint32_t k0 = stream.key[0], k1 = stream.key[1];
#pragma unroll
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    uint32_t next0 = __umulhi(0xCD9E8D57u, c2) ^ c1 ^ k0, next2 = __umulhi(0xD2511F53u, c0) ^ c3 ^ k1;
    c1 = 0xCD9E8D57u * c2;
    c3 = 0xD2511F53u * c0;
    c0 = next0;
    c2 = next2;
  }
  return make_uint4(c0, c1, c2, c3);
}

/// Uniform in [0, 1): 24 bits, exact in float32.
SEMGEN_DEVICE float uniformOf(uint32_t word) { return float(word >> 8) * 0x1p-24f; }

/// floor(word * range / 2^32) as the host's doubles have it: exact up to 2^21, where the product has 53 bits.
SEMGEN_DEVICE int integerBelow(uint32_t word, int range) {
  return range <= 1 << 21 ? int(__umulhi(word, uint32_t(range))) : int(double(word) * double(range) * 0x1p-32);
}

/// Hands out the words of a stream in order, from any of them on.
struct WordReader {
  NoiseStream stream;
  uint64_t next;  // word
  uint4 words;    // of the block that holds it, once one of them has been asked for
  bool loaded;

  SEMGEN_DEVICE WordReader(const NoiseStream &from, uint64_t first) : stream(from), next(first), loaded(false) {}
  SEMGEN_DEVICE uint32_t word() {
    uint32_t place = uint32_t(next) & 3;
    if (place == 0 || !loaded) words = philoxWords(stream, uint32_t(next >> 2));
    loaded = true;
    ++next;
    return place < 2 ? (place == 0 ? words.x : words.y) : (place == 2 ? words.z : words.w);
  }
};

}  // namespace semgen::cuda
