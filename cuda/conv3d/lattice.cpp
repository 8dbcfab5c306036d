#include "cuda/conv3d/lattice.h"

#include <algorithm>

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

std::string inWords(const Lattice &l, const int (&in)[2], const int (&out)[2]) {
  auto words = [](Int3 of, const char *between) {
    return std::to_string(of.x) + between + std::to_string(of.y) + between + std::to_string(of.z);
  };
  auto channels = [](const int(&of)[2]) {
    return std::to_string(of[0]) + (of[1] > 0 ? std::string("+").append(std::to_string(of[1])) : "");
  };
  std::string text = std::to_string(l.images) + " x " + words(l.in, "x") + " x " + channels(in) + " to " +
                     words(l.out, "x") + " x " + channels(out) + ", " + std::to_string(l.taps) + " taps";
  if (l.taps > 0) {
    auto range = [&](const int8_t(&of)[maxTaps]) {
      auto [low, high] = std::minmax_element(of, of + l.taps);
      return std::to_string(*low) + ".." + std::to_string(*high);
    };
    text.append(" ").append(range(l.x)).append(" ").append(range(l.y)).append(" ").append(range(l.z));
  }
  if (l.classes > 1) text += " in " + std::to_string(l.classes) + " classes";
  auto isOne = [](Int3 of) { return of.x == 1 && of.y == 1 && of.z == 1; };
  if (!isOne(l.inStep)) text += ", stride " + words(l.inStep, "x");
  if (!isOne(l.outStep)) text += ", to every " + words(l.outStep, "x");
  return text;
}

}  // namespace semgen::cuda
