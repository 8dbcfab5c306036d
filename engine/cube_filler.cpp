#include "engine/cube_filler.h"

#include <string>

#include "engine/error.h"

namespace semgen {

void CubeFiller::fill(const std::vector<CubeRequest> &requests, const Extents &shape, const Tensor &original,
                      const Tensor *perturbed) {
  validate(requests, shape);
  const int64_t values = int64_t(requests.size()) * shape[0] * shape[1] * shape[2];
  for (const Tensor *tensor : {&original, perturbed})
    if (tensor && (tensor->dtype != DType::f32 || tensor->count() < values))
      throw Error("BAD_OPTION", std::to_string(requests.size()) + " cubes of " + describe(shape) + " voxels need " +
                                    std::to_string(values) + " float32 values, but were to fill a tensor of " +
                                    describe(tensor->shape) + ".");
  if (requests.empty()) return;
  std::lock_guard lock(mutex_);
  make(requests, shape, static_cast<float *>(original.data()),
       perturbed ? static_cast<float *>(perturbed->data()) : nullptr);
}

}  // namespace semgen
