// The pooling of the network, 2x2x2 every 2, of bfloat16: 16 bytes a thread.
#pragma once
#include "cuda/compiler.h"

namespace semgen::cuda {

struct HalvingShape {
  int64_t images;
  int small[3], channels;

  int64_t pieces() const { return images * small[0] * small[1] * small[2] * (channels / 8); }
};

/// Whether a max_pool, or its gradient, is one: whole windows, multiples of eight channels.
bool halves(const CudaCompiler &c, const Operation &operation);
HalvingShape halvingOf(const CudaCompiler &c, TensorId small);

/// y and the mask of max_pool: [small voxels, channels] of 16 bits. With `affine`, x is a conv unit's z, and its output
/// relu(z * scale + shift) is what is pooled.
void halve(cudaStream_t stream, const HalvingShape &shape, const void *x, const float2 *affine, void *y, void *mask);
/// dx = dy where the mask says so, else 0; plus `other` where that is not null.
void spread(cudaStream_t stream, const HalvingShape &shape, const void *mask, const void *dy, const void *other,
            void *dx);

}  // namespace semgen::cuda
