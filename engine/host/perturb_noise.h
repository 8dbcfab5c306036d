// Fields of uniform noise out of a Philox stream.
#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/host/philox.h"

namespace semgen {

/// out[i] = low + (high - low) * u_i, u_i the uniform number of word i counted from block `firstBlock` of the stream.
void fillUniform(const PhiloxStream &stream, uint32_t firstBlock, float low, float high, float *out, size_t count);

/// Blocks of four words that `count` numbers take.
inline uint32_t philoxBlocks(size_t count) { return static_cast<uint32_t>((count + 3) / 4); }

}  // namespace semgen
