// Where the voxels of scans are when cubes are cut out of them: whole scans stay in the device's memory, in the order
// in which they are first asked for, until so many bytes are kept; of others the boxes are brought, batch by batch.
// Either way they pass through two pinned buffers, one gathered by the host's threads while the other is copied, on a
// stream of their own.
#pragma once
#include <map>
#include <vector>

#include "cuda/perturb/resources.h"
#include "engine/cube_filler.h"

namespace semgen::cuda {

/// A box as the device finds it: in a scan, or in a part of one whose border repeats as the scan's would.
struct PlacedBox {
  const uint16_t *voxels;
  Extents extents, start;
};

class DeviceScans {
 public:
  explicit DeviceScans(const CubeFillerOptions &options);

  /// Bytes that `request` takes of the room for boxes, were it placed next.
  size_t boxBytes(const CubeRequest &request) const;
  /// Brings what `count` requests need; `stream` then waits until it is there. Boxes stay until the next call, before
  /// which the work on them must be done.
  /// @throws Error OUT_OF_MEMORY
  std::vector<PlacedBox> place(const CubeRequest *requests, size_t count, cudaStream_t stream);
  /// Lets go of all scans, and keeps at most half as much from now on. Not while boxes are placed or read.
  bool giveBack();
  size_t residentBytes() const { return residentBytes_; }

 private:
  /// A part of a scan on its way: `extents` voxels from `low` on, dense at `to`.
  struct Upload {
    ScanView scan;
    Extents low, extents;
    char *to;
  };
  std::vector<PlacedBox> tryPlace(const CubeRequest *requests, size_t count, std::vector<Upload> &uploads);
  bool keep(const ScanView &scan, std::vector<Upload> &uploads);
  void bring(const std::vector<Upload> &uploads);
  void gather(const Upload &upload, int64_t firstRow, int64_t rows, char *into) const;

  struct Kept {
    int64_t voxels;
    DeviceRoom room;  // empty until it is asked for
  };
  std::map<const uint16_t *, Kept> kept_;
  size_t mostResident_, residentBytes_ = 0;
  int threads_;
  DeviceRoom boxes_;
  struct Buffer {
    PinnedRoom room;
    Event copied;
  };
  Buffer buffers_[2];
  Event arrived_;
  Stream stream_;  // last: it ends first, when its copies are done
};

}  // namespace semgen::cuda
