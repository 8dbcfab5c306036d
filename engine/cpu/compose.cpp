#include "engine/cpu/compose.h"

#include <dnnl.h>

#include <vector>

namespace semgen::cpu {

bool Composition::cheaper(int64_t in, int64_t middle, int64_t out, int64_t voxels, const Rates &rates) {
  double conv = 27.0 * double(middle * out) * double(voxels), up = double(in * middle) * double(voxels);
  double composed = 8.0 * double(in * out) * double(voxels), composing = 216.0 * double(in * middle) * double(out);
  return composed * rates.composed + composing * rates.composing < conv * rates.convolution + up;
}

Composition composition(CpuCompiler &c, const Operation &op) {
  const Shape &up = c.program.shape(op.at("up_weight")), &conv = c.program.shape(op.at("weight"));
  return {up[0], up[1], conv[0], conv[1], op.at("up_weight"), op.at("up_bias"), op.at("weight")};
}

namespace {

constexpr int taps = 27, corners = 8, places = 64;

/// Where corner s of the transposed convolution and tap t of the convolution meet in the 4x4x4 kernel.
int meeting(int s, int t) {
  int x = (s >> 2 & 1) - t / 9 + 2, y = (s >> 1 & 1) - t / 3 % 3 + 2, z = (s & 1) - t % 3 + 2;
  return (x * 4 + y) * 4 + z;
}

/// Weights as they lie, `count` beside each other for each row and column of a matrix, and as so many matrices.
struct Packing {
  int64_t rowStride, columnStride, rows, columns;
  int count;

  void unpack(const float *packed, float *matrices) const {
    each([&](int64_t at, int64_t element) { matrices[element] = packed[at]; });
  }
  void pack(const float *matrices, float *packed) const {
    each([&](int64_t at, int64_t element) { packed[at] = matrices[element]; });
  }

 private:
  template <class Body>
  void each(Body &&body) const {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column)
        for (int i = 0; i < count; ++i)
          body(row * rowStride + column * columnStride + i, (i * rows + row) * columns + column);
  }
};

/// result (m x n) = a b, or += with `add`; either transposed where its letter is T. Returns whether oneDNN took it: it
/// is called in parallel loops, which no exception may leave.
bool multiply(char transposeA, char transposeB, int64_t m, int64_t n, int64_t depth, const float *a, const float *b,
              bool add, float *result) {
  int64_t rowA = transposeA == 'T' ? m : depth, rowB = transposeB == 'T' ? depth : n;
  return dnnl_sgemm(transposeA, transposeB, m, n, depth, 1.0f, a, rowA, b, rowB, add ? 1.0f : 0.0f, result, n) ==
         dnnl_success;
}

void checkMultiplied(bool all) {
  if (!all) throw Error("NATIVE", "oneDNN refused a matrix product of the composed decoder.");
}

/// The weights, and gradients of them, as matrices: up Ci x M for each corner, conv M x Co for each tap, composed Ci x
/// Co for each of 64 places.
struct Matrices {
  CpuCompiler &c;
  Composition k;
  TensorId up, conv, composed;

  Matrices(CpuCompiler &c, const Composition &k) : c(c), k(k) {
    auto floats = [&](int64_t count) { return c.program.scratch(size_t(count) * sizeof(float)); };
    up = floats(corners * k.in * k.middle);
    conv = floats(taps * k.middle * k.out);
    composed = floats(places * k.in * k.out);
  }
  float *corner(int s) const { return c.data<float>(up) + s * k.in * k.middle; }
  float *tap(int t) const { return c.data<float>(conv) + t * k.middle * k.out; }
  float *place(int p) const { return c.data<float>(composed) + p * k.in * k.out; }

  Packing upPacking() const { return {k.middle * corners, corners, k.in, k.middle, corners}; }
  Packing convPacking() const { return {taps, k.convIn * taps, k.middle, k.out, taps}; }
  Packing composedPacking() const { return {k.out * places, places, k.in, k.out, places}; }

  void takeWeights() const {
    upPacking().unpack(c.data<const float>(k.up), corner(0));
    convPacking().unpack(c.data<const float>(k.conv), tap(0));
  }
};

}  // namespace

// Each thread adds up matrices of its own, in order: the same bits on any number of threads.

void composeWeights(CpuCompiler &c, const Composition &k, TensorId composed) {
  c.loop([of = Matrices(c, k), composed] {
    const Composition &k = of.k;
    of.takeWeights();
    bool done = true;
#pragma omp parallel for schedule(dynamic) reduction(&& : done)
    for (int p = 0; p < places; ++p) {
      bool add = false;
      for (int s = 0; s < corners; ++s)
        for (int t = 0; t < taps; ++t) {
          if (meeting(s, t) != p) continue;
          done = multiply('N', 'N', k.in, k.out, k.middle, of.corner(s), of.tap(t), add, of.place(p)) && done;
          add = true;
        }
    }
    checkMultiplied(done);
    of.composedPacking().pack(of.place(0), of.c.data<float>(composed));
  });
}

void composeBackward(CpuCompiler &c, const Composition &k, TensorId dcomposed, TensorId dup, TensorId dconv) {
  c.loop([of = Matrices(c, k), gradient = Matrices(c, k), dcomposed, dup, dconv] {
    const Composition &k = of.k;
    of.takeWeights();
    of.composedPacking().unpack(of.c.data<const float>(dcomposed), gradient.place(0));
    bool done = true;
#pragma omp parallel reduction(&& : done)
    {
#pragma omp for schedule(dynamic) nowait
      for (int s = 0; s < corners; ++s)
        for (int t = 0; t < taps; ++t)
          done = multiply('N', 'T', k.in, k.middle, k.out, gradient.place(meeting(s, t)), of.tap(t), t > 0,
                          gradient.corner(s)) &&
                 done;
#pragma omp for schedule(dynamic)
      for (int t = 0; t < taps; ++t)
        for (int s = 0; s < corners; ++s)
          done = multiply('T', 'N', k.middle, k.out, k.in, of.corner(s), gradient.place(meeting(s, t)), s > 0,
                          gradient.tap(t)) &&
                 done;
    }
    checkMultiplied(done);
    of.upPacking().pack(gradient.corner(0), of.c.data<float>(dup));
    of.convPacking().pack(gradient.tap(0), of.c.data<float>(dconv));
  });
}

/// Whether tap t falls on a voxel of the upsampled tensor, seen from a voxel of this kind.
static bool inside(int kind, int t) {
  auto axis = [](int k, int tap) { return !(k == 0 && tap == 0) && !(k == 2 && tap == 2); };
  return axis(kind / 9, t / 9) && axis(kind / 3 % 3, t / 3 % 3) && axis(kind % 3, t % 3);
}

void composeBias(CpuCompiler &c, const Composition &k, TensorId table) {
  c.loop([&c, k, table] {
    const float *conv = c.data<float>(k.conv), *bias = c.data<float>(k.upBias);
    float *sums = c.data<float>(table);
    for (int64_t co = 0; co < k.out; ++co) {
      double taps[27] = {};
      for (int64_t m = 0; m < k.middle; ++m)
        for (int t = 0; t < 27; ++t) taps[t] += double(bias[m]) * conv[(co * k.convIn + m) * 27 + t];
      for (int kind = 0; kind < 27; ++kind) {
        double sum = 0;
        for (int t = 0; t < 27; ++t) sum += inside(kind, t) ? taps[t] : 0;
        sums[kind * k.out + co] = float(sum);
      }
    }
  });
}

void composeBiasBackward(CpuCompiler &c, const Composition &k, TensorId sums, TensorId dupBias, TensorId dconv) {
  c.loop([&c, k, sums, dupBias, dconv] {
    const float *conv = c.data<float>(k.conv), *bias = c.data<float>(k.upBias), *byKind = c.data<float>(sums);
    float *dbias = c.data<float>(dupBias), *dweights = c.data<float>(dconv);
    std::vector<double> total(size_t(k.middle), 0.0);
    for (int64_t co = 0; co < k.out; ++co) {
      double taps[27] = {};
      for (int t = 0; t < 27; ++t)
        for (int kind = 0; kind < 27; ++kind) taps[t] += inside(kind, t) ? byKind[kind * k.out + co] : 0.0f;
      for (int64_t m = 0; m < k.middle; ++m)
        for (int t = 0; t < 27; ++t) {
          int64_t weight = (co * k.convIn + m) * 27 + t;
          dweights[weight] += float(bias[m] * taps[t]);
          total[size_t(m)] += conv[weight] * taps[t];
        }
    }
    for (int64_t m = 0; m < k.middle; ++m) dbias[m] = float(total[size_t(m)]);
  });
}

}  // namespace semgen::cpu
