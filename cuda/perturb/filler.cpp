#include "cuda/perturb/filler.h"

#include <climits>
#include <cstring>

#include "cuda/perturb/batch.h"
#include "engine/error.h"

namespace semgen::cuda {

namespace {

constexpr size_t mostCubes = 16384;  // at once: a launch has at most 65535

class DeviceCubeFiller : public CubeFiller, public SpareMemory {
 public:
  DeviceCubeFiller(const CubeFillerOptions &options, int gpu, SpareMemories &spares)
      : gpu_(gpu), batchBytes_(options.batchBytes), spares_(spares), scans_(options) {
    spares_.add(this);
  }
  ~DeviceCubeFiller() override {
    spares_.remove(this);
    cudaSetDevice(gpu_);
  }
  bool giveBack() override {
    std::lock_guard lock(mutex_);
    return scans_.giveBack();
  }
  size_t residentBytes() const override { return scans_.residentBytes(); }

 protected:
  void make(const std::vector<CubeRequest> &requests, const Extents &extents, float *original,
            float *perturbed) override {
    check(cudaSetDevice(gpu_), "Choosing the card");
    const CubeShape shape{int(extents[0]), int(extents[1]), int(extents[2]), int(extents[0] * extents[1] * extents[2])};
    for (const CubeRequest &request : requests)
      for (int64_t extent : request.scan.shape)
        if (extent > INT_MAX)
          throw Error("BAD_OPTION", "A scan of " + describe(request.scan.shape) + " voxels is too long for cards.");
    try {
      for (size_t first = 0, after; first < requests.size(); first = after) {
        size_t bytes = 0;
        for (after = first; after < requests.size() && after - first < mostCubes; after++) {
          bytes += scratchBytes(requests[after], shape) + scans_.boxBytes(requests[after]);
          if (after > first && bytes > batchBytes_) break;
        }
        const int64_t offset = int64_t(first) * shape.voxels;
        together(requests.data() + first, after - first, shape, original + offset,
                 perturbed ? perturbed + offset : nullptr);
      }
    } catch (...) {
      cudaStreamSynchronize(stream_);  // what has begun ends before its memory is used again
      throw;
    }
  }

 private:
  void together(const CubeRequest *requests, size_t count, const CubeShape &shape, float *original, float *perturbed) {
    size_t scratch = 0;
    for (size_t i = 0; i < count; i++) scratch += scratchBytes(requests[i], shape);
    // Before boxes are placed: they may lie in scans that are given back for this.
    while (!scratch_.tryHold(scratch))
      if (!scans_.giveBack()) outOfMemory(scratch, "perturbing cubes", 0);
    scratch_.forget();
    const std::vector<PlacedBox> boxes = scans_.place(requests, count, stream_);
    const BatchOrder order{requests, count, boxes, original, perturbed, scratch_.data()};
    Batch batch(order, shape, table_.data());
    if (batch.table().bytes() > table_.bytes()) {
      table_.hold(2 * batch.table().bytes(), "perturbing cubes");
      batch = Batch(order, shape, table_.data());  // with the addresses of its new place
    }
    pinned_.hold(table_.bytes(), "perturbing cubes");
    std::memcpy(pinned_.data(), batch.table().data(), batch.table().bytes());
    check(cudaMemcpyAsync(table_.data(), pinned_.data(), batch.table().bytes(), cudaMemcpyHostToDevice, stream_),
          "Copying tasks to the card");
    batch.start(stream_);
    stream_.wait();
  }

  int gpu_;
  size_t batchBytes_;
  SpareMemories &spares_;
  DeviceScans scans_;
  DeviceRoom scratch_, table_;
  PinnedRoom pinned_;
  Stream stream_;  // last: it ends first
};

}  // namespace

std::unique_ptr<CubeFiller> cubeFiller(const CubeFillerOptions &options, int gpu, SpareMemories &spares) {
  check(cudaSetDevice(gpu), "Choosing the card");
  return std::make_unique<DeviceCubeFiller>(options, gpu, spares);
}

}  // namespace semgen::cuda
