// Convolutions and transposed convolutions on oneDNN, as pieces that the operations put together.
#pragma once
#include "engine/cpu/compiler.h"

namespace semgen::cpu {

struct ConvGeometry {
  Dims stride, padding;
  bool transposed = false;
  bool operator==(const ConvGeometry &) const = default;
};

/// Throws Error NATIVE for attributes that are no geometry.
ConvGeometry geometryOf(const Operation &operation, bool transposed = false);

/// Dense weights as oneDNN orders them, {out, in, kx, ky, kz}, whatever their order in memory:
/// (out, in, ...) for a convolution, (in, out, ...) for a transposed one.
Operand weightsView(CpuCompiler &c, TensorId weights, bool transposed);
/// The part of a view that belongs to some of the input channels: a concatenation's first or second half.
Operand inputChannels(const Operand &weights, int64_t first, int64_t count);
/// Throws unless the inputs of a convolution have as many channels in all as its weights.
void checkInputChannels(const Operand &weights, int64_t channels);

/// y = conv(x, weights), or y += with `accumulate`. Weights are packed (and cast) into oneDNN's layout at each run.
void convForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y, const ConvGeometry &geometry,
                 bool accumulate);
/// dx from dy.
void convBackwardData(CpuCompiler &c, TensorId dy, const Operand &weights, TensorId dx, const ConvGeometry &geometry);
/// dweights (a float32 view, overwritten) from x and dy.
void convBackwardWeights(CpuCompiler &c, TensorId x, TensorId dy, const Operand &dweights,
                         const ConvGeometry &geometry);

/// z = conv(x concatenated with skip, weight), and dweight, dx, dskip (where the operation has them) from dz.
void convInputs(CpuCompiler &c, const Operation &operation, TensorId z, const ConvGeometry &geometry);
void convGradients(CpuCompiler &c, const Operation &operation, TensorId dz, const ConvGeometry &geometry);

/// y += bias[c], and dbias[c] = sum of dy over N, X, Y, Z: apart, since oneDNN's own makes transposed ones up to five
/// times slower.
void addBias(CpuCompiler &c, TensorId y, TensorId bias);
void sumOverVoxels(CpuCompiler &c, TensorId dy, TensorId dbias);

}  // namespace semgen::cpu
