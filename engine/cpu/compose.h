// Folds a decoder's transposed convolution (k2 s2) and the 3x3x3 convolution over its channels into one transposed
// convolution k4 s2 p1, exactly, since nothing non-linear stands between them:
//   composed[ci, co, s - t + 2] += sum over m of up[ci, m, s] * conv[co, m, t]     s in {0,1}^3, t in {0,1,2}^3, by
//   axis
// and carries gradients back. Along an axis that is a product of two polynomials, of two and three coefficients, and
// its four are had from its values at four points (Toom-Cook): so 64 matrix products [Ci x M] times [M x Co] do for
// 216. Cost: 2 * 64 * Ci * M * Co operations, forward; twice that, backward; independent of the batch.
#pragma once
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

struct Composition {
  int64_t in, middle, out, convIn;  // Ci, M, Co; convIn = M + channels of the skip, the row length of conv weights
  TensorId up, upBias, conv;        // up (Ci, M, 2, 2, 2), upBias (M), conv (Co, convIn, 3, 3, 3), of which the first M

  /// Time that a multiplication takes, in multiplications of a direct convolution: in the composed convolution, in that
  /// over the upsampled tensor, and in composing.
  struct Rates {
    double composed, convolution, composing;
  };
  /// Whether this way takes less time than two steps, for a batch whose upsampled extents hold `voxels` voxels in all.
  static bool cheaper(int64_t in, int64_t middle, int64_t out, int64_t voxels, const Rates &rates);
};

Composition composition(CpuCompiler &c, const Operation &operation);

/// composed (Ci, Co, 4, 4, 4), dense float32.
void composeWeights(CpuCompiler &c, const Composition &shape, TensorId composed);
/// From dcomposed: dup, and the first M channels of dconv (overwritten).
void composeBackward(CpuCompiler &c, const Composition &shape, TensorId dcomposed, TensorId dup, TensorId dconv);

/// The 27 kinds of voxel by how they touch the border: 9 * kx + 3 * ky + kz with k 0 at the first voxel of an axis,
/// 2 at the last, 1 between. table [27, Co]: what upBias adds through the convolution to a voxel of each kind.
void composeBias(CpuCompiler &c, const Composition &shape, TensorId table);
/// dconv[co, m, t] += upBias[m] * ds[co, t] and dupBias, from sums [27, Co] of dz by kind.
void composeBiasBackward(CpuCompiler &c, const Composition &shape, TensorId sums, TensorId dupBias, TensorId dconv);

constexpr int interiorKind = 13;

}  // namespace semgen::cpu
