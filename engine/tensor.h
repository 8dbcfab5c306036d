// Shapes, element types and persistent tensors: what programs read and write between runs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/memory.h"

namespace semgen {

/// Extents, outermost first. Activations are [N, X, Y, Z, C], weights (out, in, kx, ky, kz) as on disk.
using Shape = std::vector<int64_t>;

enum class DType { f32, bf16, i32 };

inline size_t sizeOf(DType type) { return type == DType::bf16 ? 2 : 4; }

inline int64_t elements(const Shape &shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

/// "2 x 64 x 64 x 32 x 1", for messages.
std::string describe(const Shape &shape);

/// A tensor that outlives a run: parameters, moments, statistics, inputs and results. Dense, in its logical order, in
/// the memory of one engine's device.
class Tensor {
 public:
  Tensor(std::shared_ptr<Device> device, Shape shape, DType dtype)
      : shape(std::move(shape)),
        dtype(dtype),
        device_(std::move(device)),
        buffer_(device_->allocate(size_t(count()) * sizeOf(dtype), "a tensor")) {}
  const Shape shape;
  const DType dtype;
  int64_t count() const { return elements(shape); }
  size_t bytes() const { return buffer_->bytes(); }
  void *data() const { return buffer_->data(); }
  /// All elements, from or to the host. Not while a program that uses the tensor runs.
  void write(const void *from) { device_->upload(data(), from, bytes()); }
  void read(void *to) const { device_->download(to, data(), bytes()); }
  /// All elements, from a tensor of the same device, type and size.
  void copy(const Tensor &from) { device_->copy(data(), from.data(), bytes()); }

 private:
  std::shared_ptr<Device> device_;
  std::unique_ptr<Buffer> buffer_;
};

}  // namespace semgen
