#include "engine/cpu/compose.h"

#include <dnnl.h>

#include <array>
#include <cstring>

namespace semgen::cpu {

bool Composition::cheaper(int64_t in, int64_t middle, int64_t out, int64_t voxels, const Rates &rates) {
  double conv = 27.0 * double(middle * out) * double(voxels), up = double(in * middle) * double(voxels);
  double composed = 8.0 * double(in * out) * double(voxels), composing = 216.0 * double(in * middle) * double(out);
  return composed + composing * rates.composing < conv * rates.convolution + up;
}

Composition composition(CpuCompiler &c, const Operation &op) {
  const Shape &up = c.program.shape(op.at("up_weight")), &conv = c.program.shape(op.at("weight"));
  Composition shape{up[0], up[1], conv[0], conv[1], op.at("up_weight"), op.at("up_bias"), op.at("weight"), -1, -1};
  shape.packed = c.program.scratch(size_t(shape.middle * 27 * shape.out) * sizeof(float));
  shape.product = c.program.scratch(size_t(shape.in * 27 * shape.out) * sizeof(float));
  return shape;
}

namespace {

/// Where tap t of the convolution and corner s of the transposed one meet in the 4x4x4 kernel: meeting[s][t].
constexpr auto meeting = [] {
  std::array<std::array<int, 27>, 8> places{};
  for (int s = 0; s < 8; ++s)
    for (int t = 0; t < 27; ++t) {
      int x = (s >> 2 & 1) - t / 9 + 2, y = (s >> 1 & 1) - t / 3 % 3 + 2, z = (s & 1) - t % 3 + 2;
      places[size_t(s)][size_t(t)] = (x * 4 + y) * 4 + z;
    }
  return places;
}();

/// packed[m, co, t] = conv[co, m, t].
void packConv(const Composition &k, const float *conv, float *packed) {
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t m = 0; m < k.middle; ++m)
    for (int64_t co = 0; co < k.out; ++co)
      std::memcpy(packed + (m * k.out + co) * 27, conv + (co * k.convIn + m) * 27, 27 * sizeof(float));
}

/// corner[ci, m] = up[ci, m, s].
void packCorner(const Composition &k, const float *up, size_t s, std::vector<float> &corner) {
  for (int64_t i = 0; i < k.in * k.middle; ++i) corner[size_t(i)] = up[i * 8 + int64_t(s)];
}

void multiply(char transposeA, char transposeB, int64_t m, int64_t n, int64_t depth, const float *a, int64_t rowA,
              const float *b, int64_t rowB, float beta, float *result) {
  dnnl_status_t status = dnnl_sgemm(transposeA, transposeB, m, n, depth, 1.0f, a, rowA, b, rowB, beta, result, n);
  if (status != dnnl_success) throw Error("NATIVE", "oneDNN refused a matrix product of the composed decoder.");
}

}  // namespace

void composeWeights(CpuCompiler &c, const Composition &k, TensorId composed) {
  c.loop([&c, k, composed, corner = std::vector<float>(size_t(k.in * k.middle))]() mutable {
    float *packed = c.data<float>(k.packed), *product = c.data<float>(k.product), *result = c.data<float>(composed);
    int64_t width = 27 * k.out;
    packConv(k, c.data<float>(k.conv), packed);
    std::memset(result, 0, size_t(k.in * k.out) * 64 * sizeof(float));
    for (size_t s = 0; s < 8; ++s) {
      packCorner(k, c.data<float>(k.up), s, corner);
      multiply('N', 'N', k.in, width, k.middle, corner.data(), k.middle, packed, width, 0.0f, product);
#pragma omp parallel for schedule(static)
      for (int64_t pair = 0; pair < k.in * k.out; ++pair)
        for (size_t t = 0; t < 27; ++t) result[pair * 64 + meeting[s][t]] += product[pair * 27 + int64_t(t)];
    }
  });
}

void composeBackward(CpuCompiler &c, const Composition &k, TensorId dcomposed, TensorId dup, TensorId dconv) {
  c.loop([&c, k, dcomposed, dup, dconv, corner = std::vector<float>(size_t(k.in * k.middle)),
          dcorner = std::vector<float>(size_t(k.in * k.middle)),
          dpacked = std::vector<float>(size_t(k.middle * 27 * k.out))]() mutable {
    float *packed = c.data<float>(k.packed), *dproduct = c.data<float>(k.product);
    const float *gradient = c.data<float>(dcomposed);
    float *dcorners = c.data<float>(dup), *dweights = c.data<float>(dconv);
    int64_t width = 27 * k.out;
    packConv(k, c.data<float>(k.conv), packed);
    for (size_t s = 0; s < 8; ++s) {
      packCorner(k, c.data<float>(k.up), s, corner);
#pragma omp parallel for schedule(static)
      for (int64_t pair = 0; pair < k.in * k.out; ++pair)
        for (size_t t = 0; t < 27; ++t) dproduct[pair * 27 + int64_t(t)] = gradient[pair * 64 + meeting[s][t]];
      multiply('N', 'T', k.in, k.middle, width, dproduct, width, packed, width, 0.0f, dcorner.data());
      for (int64_t i = 0; i < k.in * k.middle; ++i) dcorners[i * 8 + int64_t(s)] = dcorner[size_t(i)];
      multiply('T', 'N', k.middle, width, k.in, corner.data(), k.middle, dproduct, width, s ? 1.0f : 0.0f,
               dpacked.data());
    }
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t co = 0; co < k.out; ++co)
      for (int64_t m = 0; m < k.middle; ++m)
        std::memcpy(dweights + (co * k.convIn + m) * 27, dpacked.data() + (m * k.out + co) * 27, 27 * sizeof(float));
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
