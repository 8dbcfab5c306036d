#include "engine/cpu/doubling.h"

#include "engine/cpu/values.h"

namespace semgen::cpu {

namespace {

/// Voxels that one becomes.
constexpr int64_t corners = 8;

/// Channel c * 8 + corner of a voxel to channel c of that corner of the two by two by two that the voxel becomes.
void spread(CpuCompiler &c, const Operand &from, const Operand &to) {
  ChannelView source(from.desc), target(to.desc);
  Dims extents = from.desc.dims();
  withType(to.desc.data_type(), [&]<class T>() {
    c.loop([&c, source, target, extents, from = from.id, to = to.id] {
      const T *values = c.data<const T>(from);
      T *results = c.data<T>(to);
#pragma omp parallel for collapse(3) schedule(static)
      for (int64_t n = 0; n < target.images; ++n)
        for (int64_t b = 0; b < target.blocks; ++b)
          for (int64_t x = 0; x < extents[2]; ++x)
            for (int64_t y = 0; y < extents[3]; ++y)
              for (int64_t z = 0; z < extents[4]; ++z)
                for (int64_t corner = 0; corner < corners; ++corner) {
                  int64_t toX = 2 * x + (corner >> 2), toY = 2 * y + (corner >> 1 & 1), toZ = 2 * z + (corner & 1);
                  int64_t voxel = (toX * 2 * extents[3] + toY) * 2 * extents[4] + toZ, first = b * target.lanes;
                  T *run = results + target.at(n, first, voxel);
                  for (int64_t lane = 0; lane < target.lanesIn(b); ++lane)
                    run[lane] =
                        values[source.at(n, (first + lane) * corners + corner, (x * extents[3] + y) * extents[4] + z)];
                }
    });
  });
}

}  // namespace

bool doublingServes(const Operand &weights, const ConvGeometry &geometry) {
  Dims kernel = weights.desc.dims();
  return !hasAvx512() && geometry == doubling && Dims(kernel.begin() + 2, kernel.end()) == Dims(3, 2) &&
         kernel[0] % mostLanes == 0;
}

void doublingForward(CpuCompiler &c, TensorId x, const Operand &weights, TensorId y) {
  Dims kernel = weights.desc.dims(), extents = c.dims(x);
  int64_t channels = kernel[0] * corners;
  // A kernel's corners lie beside each other: they are the innermost of the channels made.
  Operand flat{weights.id, Desc({channels, kernel[1], 1, 1, 1}, Type::f32, Dims{1, channels, 1, 1, 1})};
  extents[1] = channels;
  Type type = c.type(y);
  dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
                                       c.open(x, type), Desc(flat.desc.dims(), type, Tag::any),
                                       Desc(extents, type, Tag::any), {1, 1, 1}, {0, 0, 0}, {0, 0, 0});
  dnnl::convolution_forward::primitive_desc chosen(desc, CpuCompiler::attributes(), c.engine);
  Operand source = c.reading(x, chosen.src_desc());
  Operand packed = c.scratch(chosen.weights_desc()), product = c.scratch(chosen.dst_desc());
  c.reorder(flat, packed);
  c.primitive(dnnl::convolution_forward(chosen), chosen.scratchpad_desc(),
              {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, product}});
  spread(c, product, c.place(y, c.layoutLike(y, product.desc)));
  c.note(chosen.impl_info_str());
}

}  // namespace semgen::cpu
