// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the twin of src/random.ts.
// The same key and counter give the same words, and the same mappings to uniforms and integers, bit for bit.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "engine/host/clones.h"

namespace semgen {

/// A stream of 2^34 words: the key, and words 1 to 3 of the counter. Word 0 of the counter is the block's number.
struct PhiloxStream {
  std::array<uint32_t, 2> key{};
  std::array<uint32_t, 3> counter{};
};

/// One round on one counter: the body that one-at-a-time and vectorised generation share.
SEMGEN_INLINE void philoxRound(uint32_t &c0, uint32_t &c1, uint32_t &c2, uint32_t &c3, uint32_t k0, uint32_t k1) {
  const uint64_t product0 = uint64_t{0xD2511F53u} * c0;
  const uint64_t product1 = uint64_t{0xCD9E8D57u} * c2;
  const uint32_t next0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
  const uint32_t next2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
  c1 = static_cast<uint32_t>(product1);
  c3 = static_cast<uint32_t>(product0);
  c0 = next0;
  c2 = next2;
}

inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9u;
inline constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85u;

/// The four words of one block of a stream.
inline std::array<uint32_t, 4> philoxBlock(const PhiloxStream &stream, uint32_t block) {
  uint32_t c0 = block, c1 = stream.counter[0], c2 = stream.counter[1], c3 = stream.counter[2];
  uint32_t k0 = stream.key[0], k1 = stream.key[1];
  for (int round = 0; round < 10; round++, k0 += kPhiloxWeyl0, k1 += kPhiloxWeyl1) philoxRound(c0, c1, c2, c3, k0, k1);
  return {c0, c1, c2, c3};
}

/// Uniform in [0, 1) from the upper 24 bits of a word: exact in float32.
SEMGEN_INLINE float philoxUniform(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// Hands out the words of a stream in order, as `Random` does.
class PhiloxReader {
 public:
  explicit PhiloxReader(const PhiloxStream &stream) : stream_(stream) {}

  uint32_t word() {
    if (next_ == 4) {
      words_ = philoxBlock(stream_, block_++);
      next_ = 0;
    }
    return words_[next_++];
  }
  /// A whole number in [low, high), high > low.
  int64_t integer(int64_t low, int64_t high) {
    return low +
           static_cast<int64_t>(std::floor(static_cast<double>(word()) * static_cast<double>(high - low) * 0x1p-32));
  }

 private:
  PhiloxStream stream_;
  std::array<uint32_t, 4> words_{};
  size_t next_ = 4;
  uint32_t block_ = 0;
};

}  // namespace semgen
