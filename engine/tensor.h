// Shapes, element types and persistent tensors: what programs read and write between runs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

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

/// Zero-filled memory on a 64-byte boundary. Throws Error OUT_OF_MEMORY, saying how much was asked and what is free.
class HostBuffer {
 public:
  HostBuffer() = default;
  explicit HostBuffer(size_t bytes, const char *purpose);
  ~HostBuffer();
  HostBuffer(HostBuffer &&other) noexcept { std::swap(data_, other.data_), std::swap(bytes_, other.bytes_); }
  HostBuffer &operator=(HostBuffer &&other) noexcept {
    std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
    return *this;
  }
  HostBuffer(const HostBuffer &) = delete;
  void *data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void *data_ = nullptr;
  size_t bytes_ = 0;
};

/// A tensor that outlives a run: parameters, moments, statistics, inputs and results. Dense, in its logical order.
struct Tensor {
  Tensor(Shape shape, DType dtype)
      : shape(std::move(shape)), dtype(dtype), memory(size_t(elements(this->shape)) * sizeOf(dtype), "a tensor") {}
  Shape shape;
  DType dtype;
  HostBuffer memory;
  int64_t count() const { return elements(shape); }
};

}  // namespace semgen
