#include "cuda/perturb/scans.h"

#include <algorithm>
#include <cstring>

#include "engine/host/parallel.h"

namespace semgen::cuda {

namespace {

constexpr size_t bufferBytes = size_t{8} << 20;   // each: long enough copies for the bus, and the host has two
constexpr size_t pieceBytes = size_t{128} << 10;  // what a thread gathers at a time

int64_t voxelsOf(const Extents &extents) { return extents[0] * extents[1] * extents[2]; }

/// The part of the scan that a box meets, border voxels where it lies outside: [low, low + extents).
void meets(const CubeRequest &request, Extents &low, Extents &extents) {
  for (int axis = 0; axis < 3; axis++) {
    const int64_t last = request.scan.shape[axis] - 1;
    low[axis] = std::clamp<int64_t>(request.start[axis], 0, last);
    extents[axis] = std::clamp<int64_t>(request.start[axis] + request.size[axis] - 1, 0, last) - low[axis] + 1;
  }
}

/// Whether so many bytes can be kept and a 32nd of the device's memory stays free: graphs, and code that is loaded when
/// it is first launched, take memory, too, and cannot ask for it to be given back.
bool roomToKeep(size_t bytes) {
  size_t available = 0, all = 0;
  check(cudaMemGetInfo(&available, &all), "Asking for free memory");
  return bytes <= available && available - bytes >= all / 32;
}

}  // namespace

DeviceScans::DeviceScans(const CubeFillerOptions &options)
    : mostResident_(options.residentBytes), threads_(options.threads) {
  for (const ScanView &scan : options.scans) kept_.try_emplace(scan.voxels, Kept{voxelsOf(scan.shape), {}});
}

size_t DeviceScans::boxBytes(const CubeRequest &request) const {
  auto found = kept_.find(request.scan.voxels);
  if (found != kept_.end() && found->second.room.data()) return 0;
  Extents low, extents;
  meets(request, low, extents);
  return aligned(size_t(voxelsOf(extents)) * sizeof(uint16_t));
}

/// Whether the whole scan is, or now comes to be, in the device's memory.
bool DeviceScans::keep(const ScanView &scan, std::vector<Upload> &uploads) {
  auto found = kept_.find(scan.voxels);
  if (found == kept_.end() || found->second.voxels != voxelsOf(scan.shape)) return false;
  Kept &kept = found->second;
  if (kept.room.data()) return true;
  const size_t bytes = size_t(kept.voxels) * sizeof(uint16_t);
  if (bytes > mostResident_ - residentBytes_) return false;
  if (!roomToKeep(bytes) || !kept.room.tryHold(bytes)) {
    mostResident_ = residentBytes_;  // the device is full: no other scan will fit
    return false;
  }
  residentBytes_ += bytes;
  uploads.push_back({scan, {0, 0, 0}, scan.shape, kept.room.data()});
  return true;
}

std::vector<PlacedBox> DeviceScans::place(const CubeRequest *requests, size_t count, cudaStream_t stream) {
  std::vector<Upload> uploads;
  try {
    std::vector<PlacedBox> placed = tryPlace(requests, count, uploads);
    arrived_.record(stream_);
    arrived_.delay(stream);
    return placed;
  } catch (...) {
    // Scans that may not have come in full are not there.
    cudaStreamSynchronize(stream_);
    for (const Upload &upload : uploads) {
      auto found = kept_.find(upload.scan.voxels);
      if (found == kept_.end() || found->second.room.data() != upload.to) continue;
      residentBytes_ -= found->second.room.bytes();
      found->second.room.release();
    }
    throw;
  }
}

bool DeviceScans::giveBack() {
  if (residentBytes_ == 0) return false;
  mostResident_ = residentBytes_ / 2;
  residentBytes_ = 0;
  for (auto &[voxels, kept] : kept_) kept.room.release();
  return true;
}

std::vector<PlacedBox> DeviceScans::tryPlace(const CubeRequest *requests, size_t count, std::vector<Upload> &uploads) {
  std::vector<PlacedBox> placed(count);
  struct Box {
    size_t request, offset;
    Extents low;
  };
  std::vector<Box> boxes;
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) {
    const CubeRequest &request = requests[i];
    if (keep(request.scan, uploads)) {
      const auto *voxels = reinterpret_cast<const uint16_t *>(kept_.at(request.scan.voxels).room.data());
      placed[i] = {voxels, request.scan.shape, request.start};
      continue;
    }
    Box &box = boxes.emplace_back(Box{i, bytes, {}});
    meets(request, box.low, placed[i].extents);
    for (int axis = 0; axis < 3; axis++) placed[i].start[axis] = request.start[axis] - box.low[axis];
    bytes += aligned(size_t(voxelsOf(placed[i].extents)) * sizeof(uint16_t));
  }
  if (!boxes_.tryHold(bytes)) {
    if (!giveBack()) outOfMemory(bytes, "boxes of scans", 0);
    uploads.clear();  // nothing has been copied yet
    return tryPlace(requests, count, uploads);
  }
  boxes_.forget();
  for (const Box &box : boxes) {
    char *to = boxes_.data() + box.offset;
    placed[box.request].voxels = reinterpret_cast<const uint16_t *>(to);
    uploads.push_back({requests[box.request].scan, box.low, placed[box.request].extents, to});
  }
  bring(uploads);
  return placed;
}

void DeviceScans::bring(const std::vector<Upload> &uploads) {
  struct Piece {
    const Upload *upload;
    int64_t row, rows;
    char *into;
  };
  size_t next = 0;  // upload
  int64_t row = 0;  // of it
  size_t turn = 0;
  while (next < uploads.size()) {
    // As many rows as fit one buffer, whatever they belong to.
    Buffer &buffer = buffers_[turn++ % 2];
    buffer.copied.wait();
    const size_t rowBytes = size_t(uploads[next].extents[2]) * sizeof(uint16_t);
    buffer.room.hold(std::max(bufferBytes, rowBytes), "copies to the card");
    std::vector<Piece> pieces;
    char *at = buffer.room.data(), *const end = at + buffer.room.bytes();
    while (next < uploads.size()) {
      const Upload &upload = uploads[next];
      const size_t bytes = size_t(upload.extents[2]) * sizeof(uint16_t);
      const int64_t all = upload.extents[0] * upload.extents[1];
      const int64_t fit = std::min(all - row, int64_t(size_t(end - at) / bytes));
      if (fit == 0) break;
      const int64_t each = std::max<int64_t>(1, int64_t(pieceBytes / bytes));
      for (int64_t from = 0; from < fit; from += each)
        pieces.push_back({&upload, row + from, std::min(each, fit - from), at + size_t(from) * bytes});
      at += size_t(fit) * bytes;
      row += fit;
      if (row < all) break;
      row = 0;
      next++;
    }
    parallelFor(int64_t(pieces.size()), threads_, [&](int64_t i, int) {
      const Piece &piece = pieces[size_t(i)];
      gather(*piece.upload, piece.row, piece.rows, piece.into);
    });
    for (size_t first = 0, after; first < pieces.size(); first = after) {
      const Piece &piece = pieces[first];
      const size_t bytes = size_t(piece.upload->extents[2]) * sizeof(uint16_t);
      int64_t rows = 0;
      for (after = first; after < pieces.size() && pieces[after].upload == piece.upload; after++)
        rows += pieces[after].rows;
      check(cudaMemcpyAsync(piece.upload->to + size_t(piece.row) * bytes, piece.into, size_t(rows) * bytes,
                            cudaMemcpyHostToDevice, stream_),
            "Copying scans to the card");
    }
    buffer.copied.record(stream_);
  }
}

/// Rows of voxels along z, in order of (x, y), dense.
void DeviceScans::gather(const Upload &upload, int64_t firstRow, int64_t rows, char *into) const {
  const auto &[scan, low, extents, to] = upload;
  const size_t bytes = size_t(extents[2]) * sizeof(uint16_t);
  for (int64_t row = firstRow; row < firstRow + rows; row++, into += bytes) {
    const int64_t x = low[0] + row / extents[1], y = low[1] + row % extents[1];
    std::memcpy(into, scan.voxels + (x * scan.shape[1] + y) * scan.shape[2] + low[2], bytes);
  }
}

}  // namespace semgen::cuda
