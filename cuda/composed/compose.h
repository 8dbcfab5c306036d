// Folds a decoder's transposed convolution (k2 s2) and the 3x3x3 convolution over its channels into one transposed
// convolution k4 s2 p1, exactly, since nothing non-linear stands between them:
//   composed[ci, co, s - t + 2] += sum over m of up[ci, m, s] * conv[co, m, t]     s in {0,1}^3, t in {0,1,2}^3, by
//   axis
// With u = 3 - (s - t + 2), t = u + s - 1: that is itself a convolution, k2 p1, with weights `up` as they are, of
// Co images of 3x3x3 voxels and M channels: the convolution's weights. So the kernels of conv3d compose the weights,
// and carry gradients back.
// Cost: 2 * 512 * Ci * M * Co operations forward, 2 * 432 * Ci * M * Co for the two gradients; independent of the
// batch. The gradient takes the composed weights, and the images, as the forward operation left them: 4 * Co * (64 * Ci
// + 27 * M) bytes until then.
#pragma once
#include "cuda/conv_transpose3d/pieces.h"

namespace semgen::cuda {

struct Composition {
  int in, middle, out, convIn;  // Ci, M, Co; convIn = M + channels of the skip
  TensorId up, upBias, conv;    // up (Ci, M, 2, 2, 2), upBias (M), conv (Co, convIn, 3, 3, 3), of which the first M
  Arithmetic arithmetic;        // of the composing: float32 where activations are, else tf32
  TensorId upsampled;           // which this way never writes; none where the operation does not have it
  TensorId images, composed;    // conv as [Co, 3, 3, 3, M], and composed weights [Co, u, Ci]
  TensorId biases;              // scratch: upBias through each run of channels and tap (kernels.h)

  /// Of an up_unit or its gradient, whose images and composed weights are those that the unit left.
  Composition(CudaCompiler &c, const Operation &operation, DType activations);
  /// Appends what makes images and composed weights, and leaves them to the gradient; nothing where they were left. The
  /// rest needs it.
  void compose(CudaCompiler &c) const;
  /// Scratch for the gradient of composed weights, [Co, u, Ci].
  TensorId scratch(CudaCompiler &c) const;
  /// As weights of the transposed convolution k4 s2 p1.
  TransposedConvolution view(TensorId weights) const;
  /// table [27, Co]: what upBias adds through the convolution to a voxel of each kind (see EpilogueRows).
  void composeBias(CudaCompiler &c, TensorId table) const;
  /// From dcomposed, and sums [27, Co] of dz by kind: dup, dupBias, and the first M channels of dconv (overwritten).
  void backward(CudaCompiler &c, TensorId dcomposed, TensorId sums, TensorId dup, TensorId dupBias,
                TensorId dconv) const;
};

/// The smaller of the two ways for a batch whose upsampled extents hold `voxels` voxels in all.
bool composingIsCheaper(int64_t in, int64_t middle, int64_t out, int64_t voxels);

constexpr int interiorKind = 13;

}  // namespace semgen::cuda
