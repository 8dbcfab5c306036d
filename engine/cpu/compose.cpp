#include "engine/cpu/compose.h"

#include <dnnl.h>

#include <algorithm>
#include <vector>

#include "engine/host/clones.h"

namespace semgen::cpu {

bool Composition::cheaper(int64_t in, int64_t middle, int64_t out, int64_t voxels, const Rates &rates) {
  double conv = 27.0 * double(middle * out) * double(voxels), up = double(in * middle) * double(voxels);
  double composed = 8.0 * double(in * out) * double(voxels), composing = 64.0 * double(in * middle) * double(out);
  return composed * rates.composed + composing * rates.composing < conv * rates.convolution + up;
}

Composition composition(CpuCompiler &c, const Operation &op) {
  const Shape &up = c.program.shape(op.at("up_weight")), &conv = c.program.shape(op.at("weight"));
  return {up[0], up[1], conv[0], conv[1], op.at("up_weight"), op.at("up_bias"), op.at("weight")};
}

namespace {

/// A linear map of an axis; the other way round it carries a gradient back.
template <int Rows, int Columns>
struct Map {
  float weights[Rows][Columns];
  constexpr Map<Columns, Rows> transposed() const {
    Map<Columns, Rows> result{};
    for (int row = 0; row < Rows; ++row)
      for (int column = 0; column < Columns; ++column) result.weights[column][row] = weights[row][column];
    return result;
  }
};

/// Corners and taps to values at 0, 1, -1 and infinity. Taps count backwards: the last one meets the first place.
constexpr Map<4, 2> cornersToValues{{{1, 0}, {1, 1}, {1, -1}, {0, 1}}};
constexpr Map<4, 3> tapsToValues{{{0, 0, 1}, {1, 1, 1}, {1, -1, 1}, {1, 0, 0}}};
constexpr Map<4, 4> valuesToPlaces{{{1, 0, 0, 0}, {0, 0.5f, -0.5f, -1}, {-1, 0.5f, 0.5f, 0}, {0, 0, 0, 1}}};

constexpr int cube(int extent) { return extent * extent * extent; }
/// Values of a kernel over all three axes.
constexpr int points = cube(4);
/// Columns that are mapped at once.
constexpr int lanes = 16;

template <int To, int From>
SEMGEN_INLINE void mapAxis(const Map<To, From> &map, const float *in, float *out, int before, int behind) {
  for (int b = 0; b < before; ++b)
    for (int to = 0; to < To; ++to)
      for (int i = 0; i < behind * lanes; ++i) {
        float sum = 0;
        for (int from = 0; from < From; ++from)
          sum += map.weights[to][from] * in[(b * From + from) * behind * lanes + i];
        out[(b * To + to) * behind * lanes + i] = sum;
      }
}

/// From^3 numbers of each lane to To^3.
template <int To, int From>
SEMGEN_INLINE void mapAxes(const Map<To, From> &map, const float *in, float *out) {
  float one[To * From * From * lanes], two[To * To * From * lanes];
  mapAxis(map, in, one, 1, From * From);
  mapAxis(map, one, two, To, From);
  mapAxis(map, two, out, To * To, 1);
}

/// Kernels as weights lie in memory, the numbers of each row and column beside each other.
struct Kernels {
  int64_t rowStride, columnStride, rows, columns;
};

/// A row of kernels to that row of the matrices of their values.
template <int To, int From>
SEMGEN_INLINE void mapToMatrices(const Map<To, From> &map, const Kernels &k, int64_t row, const float *kernels,
                                 float *matrices) {
  for (int64_t first = 0; first < k.columns; first += lanes) {
    int64_t count = std::min<int64_t>(lanes, k.columns - first);
    float in[cube(From) * lanes] = {}, out[cube(To) * lanes];
    for (int64_t lane = 0; lane < count; ++lane)
      for (int i = 0; i < cube(From); ++i)
        in[i * lanes + lane] = kernels[row * k.rowStride + (first + lane) * k.columnStride + i];
    mapAxes(map, in, out);
    for (int i = 0; i < cube(To); ++i)
      std::copy_n(out + i * lanes, count, matrices + (i * k.rows + row) * k.columns + first);
  }
}

/// A row of matrices to that row of kernels.
template <int To, int From>
SEMGEN_INLINE void mapToKernels(const Map<To, From> &map, const Kernels &k, int64_t row, const float *matrices,
                                float *kernels) {
  for (int64_t first = 0; first < k.columns; first += lanes) {
    int64_t count = std::min<int64_t>(lanes, k.columns - first);
    float in[cube(From) * lanes] = {}, out[cube(To) * lanes];
    for (int i = 0; i < cube(From); ++i)
      std::copy_n(matrices + (i * k.rows + row) * k.columns + first, count, in + i * lanes);
    mapAxes(map, in, out);
    for (int64_t lane = 0; lane < count; ++lane)
      for (int i = 0; i < cube(To); ++i)
        kernels[row * k.rowStride + (first + lane) * k.columnStride + i] = out[i * lanes + lane];
  }
}

using RowMap = void(const Kernels &k, int64_t row, const float *from, float *to);

SEMGEN_CLONES void evaluateCorners(const Kernels &k, int64_t row, const float *from, float *to) {
  mapToMatrices(cornersToValues, k, row, from, to);
}
SEMGEN_CLONES void evaluateTaps(const Kernels &k, int64_t row, const float *from, float *to) {
  mapToMatrices(tapsToValues, k, row, from, to);
}
SEMGEN_CLONES void interpolatePlaces(const Kernels &k, int64_t row, const float *from, float *to) {
  mapToKernels(valuesToPlaces, k, row, from, to);
}
SEMGEN_CLONES void cornersBackward(const Kernels &k, int64_t row, const float *from, float *to) {
  mapToKernels(cornersToValues.transposed(), k, row, from, to);
}
SEMGEN_CLONES void tapsBackward(const Kernels &k, int64_t row, const float *from, float *to) {
  mapToKernels(tapsToValues.transposed(), k, row, from, to);
}
SEMGEN_CLONES void placesBackward(const Kernels &k, int64_t row, const float *from, float *to) {
  mapToMatrices(valuesToPlaces.transposed(), k, row, from, to);
}

void forRows(const Kernels &k, const float *from, float *to, RowMap *map) {
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < k.rows; ++row) map(k, row, from, to);
}

/// result (m x n) = a b, either transposed where its letter is T. Returns whether oneDNN took it: it is called in
/// parallel loops, which no exception may leave.
bool multiply(char transposeA, char transposeB, int64_t m, int64_t n, int64_t depth, const float *a, const float *b,
              float *result) {
  int64_t rowA = transposeA == 'T' ? m : depth, rowB = transposeB == 'T' ? depth : n;
  return dnnl_sgemm(transposeA, transposeB, m, n, depth, 1.0f, a, rowA, b, rowB, 0.0f, result, n) == dnnl_success;
}

void checkMultiplied(bool all) {
  if (!all) throw Error("NATIVE", "oneDNN refused a matrix product of the composed decoder.");
}

/// Matrices of kernels' values, one for each point.
struct Matrices {
  CpuCompiler &c;
  Kernels kernels;
  TensorId id;

  Matrices(CpuCompiler &c, const Kernels &kernels) : c(c), kernels(kernels) {
    id = c.program.scratch(size_t(points * kernels.rows * kernels.columns) * sizeof(float));
  }
  float *at(int point) const { return c.data<float>(id) + point * kernels.rows * kernels.columns; }
  void take(TensorId weights, RowMap *map) const { forRows(kernels, c.data<const float>(weights), at(0), map); }
  void give(TensorId weights, RowMap *map) const { forRows(kernels, at(0), c.data<float>(weights), map); }
};

/// up Ci x M, conv Co x M, composed Ci x Co.
Kernels upKernels(const Composition &k) { return {k.middle * 8, 8, k.in, k.middle}; }
Kernels convKernels(const Composition &k) { return {k.convIn * 27, 27, k.out, k.middle}; }
Kernels composedKernels(const Composition &k) { return {k.out * 64, 64, k.in, k.out}; }

}  // namespace

// A thread computes whole matrices: the same bits on any number of threads.

void composeWeights(CpuCompiler &c, const Composition &k, TensorId composed) {
  Matrices up(c, upKernels(k)), conv(c, convKernels(k)), product(c, composedKernels(k));
  c.loop([=] {
    up.take(k.up, evaluateCorners);
    conv.take(k.conv, evaluateTaps);
    bool done = true;
#pragma omp parallel for schedule(dynamic) reduction(&& : done)
    for (int p = 0; p < points; ++p)
      done = multiply('N', 'T', k.in, k.out, k.middle, up.at(p), conv.at(p), product.at(p)) && done;
    checkMultiplied(done);
    product.give(composed, interpolatePlaces);
  });
}

void composeBackward(CpuCompiler &c, const Composition &k, TensorId dcomposed, TensorId dup, TensorId dconv) {
  Matrices up(c, upKernels(k)), conv(c, convKernels(k)), dproduct(c, composedKernels(k)), dvalues(c, convKernels(k));
  c.loop([=] {
    up.take(k.up, evaluateCorners);
    conv.take(k.conv, evaluateTaps);
    dproduct.take(dcomposed, placesBackward);
    bool done = true;
#pragma omp parallel for schedule(dynamic) reduction(&& : done)
    for (int p = 0; p < points; ++p) {
      done = multiply('T', 'N', k.out, k.middle, k.in, dproduct.at(p), up.at(p), dvalues.at(p)) && done;
      // The values have served: their gradient takes their place.
      done = multiply('N', 'N', k.in, k.middle, k.out, dproduct.at(p), conv.at(p), up.at(p)) && done;
    }
    checkMultiplied(done);
    up.give(dup, cornersBackward);
    dvalues.give(dconv, tapsBackward);
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
