// Which input voxel meets which output voxel under which tap, for convolutions of every kind:
//   output voxel  origin + outStep * j      input voxel  inStep * j + offset[tap]      j = 0 .. points - 1, by axis
// A convolution is one class of points that sees all taps. Its data gradient, and a transposed convolution, see
// other taps at each remainder of the output coordinate by the stride: one class a remainder, each a dense
// convolution of its own, so no product with an inserted zero is ever computed.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace semgen::cuda {

struct Int3 {
  int x, y, z;
  bool operator==(const Int3 &) const = default;
};

constexpr int maxKernel = 7, maxTaps = maxKernel * maxKernel * maxKernel, maxClasses = 8;

struct PointClass {
  int firstTap, taps;  // its taps in the lattice's order; none where every product would be with padding
  Int3 origin, points;
};

/// Passed to kernels by value: constant memory.
struct Lattice {
  int images, classes, taps;
  Int3 in, out, inStep, outStep;
  PointClass cls[maxClasses];
  int8_t x[maxTaps], y[maxTaps], z[maxTaps];  // offset of the input voxel, by tap in the order of the classes
  int16_t tap[maxTaps];                       // the same tap in the order of the weights, (kx * KY + ky) * KZ + kz
};

struct ConvGeometry {
  Int3 kernel, stride, padding;
};

/// out = (in + 2 padding - kernel) / stride + 1.
Lattice forwardLattice(int images, Int3 in, Int3 out, const ConvGeometry &geometry);
/// From the smaller extents `in` of a transposed convolution to the larger `out`. Several where the stride gives more
/// than 8 classes.
std::vector<Lattice> transposedLattices(int images, Int3 in, Int3 out, const ConvGeometry &geometry);

/// What tells convolutions apart, in words; channels of up to two inputs and two outputs.
std::string inWords(const Lattice &lattice, const int (&in)[2], const int (&out)[2]);

}  // namespace semgen::cuda
