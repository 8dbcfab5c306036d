#include "engine/cpu/values.h"

namespace semgen::cpu {

ChannelView::ChannelView(const Desc &desc, int64_t widest) {
  const auto &md = desc.data;
  const auto &blocking = md.format_desc.blocking;
  images = md.dims[0];
  channels = md.dims[1];
  voxels = 1;
  for (int i = 2; i < md.ndims; ++i) voxels *= md.dims[i];
  strideN = blocking.strides[0];
  strideVoxel = md.ndims > 2 ? blocking.strides[md.ndims - 1] : 0;
  strideBlock = blocking.strides[1];
  padded = blocking.inner_nblks == 1 && blocking.inner_idxs[0] == 1 && blocking.inner_blks[0] <= mostLanes;
  if (md.format_kind != dnnl_blocked || (blocking.inner_nblks != 0 && !padded))
    throw Error("NATIVE", "An activation came in a layout that only oneDNN understands.");
  if (padded) {
    lanes = blocking.inner_blks[0];
  } else if (blocking.strides[1] == 1) {  // channels innermost
    lanes = std::min(channels, widest);
    strideBlock = lanes;
  } else {
    lanes = 1;
  }
  blocks = (channels + lanes - 1) / lanes;
}

}  // namespace semgen::cpu
