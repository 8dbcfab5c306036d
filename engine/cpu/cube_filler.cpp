#include "engine/cpu/cube_filler.h"

namespace semgen::cpu {

namespace {

/// The engine's tensors are the host's memory: nothing has to be kept anywhere else.
class HostCubeFiller : public CubeFiller {
 public:
  explicit HostCubeFiller(int threads) : threads_(threads) {}

 protected:
  void make(const std::vector<CubeRequest> &requests, const Extents &shape, float *original,
            float *perturbed) override {
    fillCubes(requests, shape, original, perturbed, threads_);
  }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options) {
  return std::make_unique<HostCubeFiller>(options.threads);
}

}  // namespace semgen::cpu
