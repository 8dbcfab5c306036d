// Batches of training cubes, made where an engine keeps its tensors.
#pragma once
#include <cstddef>
#include <mutex>
#include <vector>

#include "engine/host/cubes.h"
#include "engine/tensor.h"

namespace semgen {

struct CubeFillerOptions {
  /// Scans that most boxes will come from. Their voxels outlive the filler and do not change.
  std::vector<ScanView> scans;
  /// Bytes of them that may be kept in the device's own memory, where it has one, as long as nothing else needs it.
  size_t residentBytes = 0;
  /// Bytes there for boxes of other scans and for scratch: a batch that needs more is made in parts, of one cube at
  /// least. 64 cubes of the published size take 170 MB.
  size_t batchBytes = 0;
  /// Threads for what the host does. They change no bit of the cubes.
  int threads = 1;
};

/// Made by Engine::cubeFiller. The same requests give the same bits on every engine.
class CubeFiller {
 public:
  virtual ~CubeFiller() = default;
  /// As fillCubes (engine/host/cubes.h), into float32 tensors of the engine, of which the first requests.size() cubes
  /// are written. Returns when they are there. From any thread; not while a program runs that uses these tensors.
  /// @throws Error BAD_OPTION where a request, the shape or a tensor does not fit; nothing is written then.
  ///   OUT_OF_MEMORY
  void fill(const std::vector<CubeRequest> &requests, const Extents &shape, const Tensor &original,
            const Tensor *perturbed);
  /// Bytes of scans that lie in the device's memory now.
  virtual size_t residentBytes() const { return 0; }

 protected:
  /// What was checked; one call at a time.
  virtual void make(const std::vector<CubeRequest> &requests, const Extents &shape, float *original,
                    float *perturbed) = 0;

  std::mutex mutex_;  // held by fill
};

}  // namespace semgen
