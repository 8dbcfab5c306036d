#include "cuda/conv3d/lattice.h"

namespace semgen::cuda {

namespace {

void addTap(Lattice &lattice, Int3 offset, int tap) {
  int at = lattice.taps++;
  lattice.x[at] = int8_t(offset.x);
  lattice.y[at] = int8_t(offset.y);
  lattice.z[at] = int8_t(offset.z);
  lattice.tap[at] = int16_t(tap);
}

/// Calls body(k, index) for each tap, in the order of the weights.
template <class Body>
void forTaps(Int3 kernel, Body &&body) {
  int index = 0;
  for (int x = 0; x < kernel.x; ++x)
    for (int y = 0; y < kernel.y; ++y)
      for (int z = 0; z < kernel.z; ++z) body(Int3{x, y, z}, index++);
}

}  // namespace

Lattice forwardLattice(int images, Int3 in, Int3 out, const ConvGeometry &g) {
  Lattice lattice{};
  lattice.images = images;
  lattice.in = in;
  lattice.out = out;
  lattice.inStep = g.stride;
  lattice.outStep = {1, 1, 1};
  forTaps(g.kernel, [&](Int3 k, int index) {
    addTap(lattice, {k.x - g.padding.x, k.y - g.padding.y, k.z - g.padding.z}, index);
  });
  lattice.classes = 1;
  lattice.cls[0] = {0, lattice.taps, {0, 0, 0}, out};
  return lattice;
}

std::vector<Lattice> transposedLattices(int images, Int3 in, Int3 out, const ConvGeometry &g) {
  Lattice empty{};
  empty.images = images;
  empty.in = in;
  empty.out = out;
  empty.inStep = {1, 1, 1};
  empty.outStep = g.stride;
  std::vector<Lattice> lattices;
  auto points = [](int extent, int origin, int step) { return origin < extent ? (extent - origin - 1) / step + 1 : 0; };
  forTaps(g.stride, [&](Int3 c, int) {
    Int3 count{points(out.x, c.x, g.stride.x), points(out.y, c.y, g.stride.y), points(out.z, c.z, g.stride.z)};
    if (count.x == 0 || count.y == 0 || count.z == 0) return;
    if (lattices.empty() || lattices.back().classes == maxClasses) lattices.push_back(empty);
    Lattice &lattice = lattices.back();
    int first = lattice.taps;
    forTaps(g.kernel, [&](Int3 k, int index) {
      Int3 reach{c.x + g.padding.x - k.x, c.y + g.padding.y - k.y, c.z + g.padding.z - k.z};
      if (reach.x % g.stride.x || reach.y % g.stride.y || reach.z % g.stride.z) return;
      addTap(lattice, {reach.x / g.stride.x, reach.y / g.stride.y, reach.z / g.stride.z}, index);
    });
    lattice.cls[lattice.classes++] = {first, lattice.taps - first, c, count};
  });
  return lattices;
}

}  // namespace semgen::cuda
