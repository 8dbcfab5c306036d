// A table for the device, built on the host: its parts refer to each other by the addresses they will have there.
#pragma once
#include <cstring>
#include <type_traits>
#include <vector>

#include "cuda/perturb/resources.h"

namespace semgen::cuda {

class Table {
 public:
  /// @param base where it will lie on the device
  explicit Table(char *base) : base_(base) {}

  /// Appends values and returns where the device will find them.
  template <class T>
  const T *add(const T *values, size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    const size_t offset = (bytes_.size() + 15) / 16 * 16;
    bytes_.resize(offset + count * sizeof(T));
    if (count > 0) std::memcpy(bytes_.data() + offset, values, count * sizeof(T));
    return reinterpret_cast<const T *>(base_ + offset);
  }
  template <class T>
  const T *add(const std::vector<T> &values) {
    return add(values.data(), values.size());
  }
  const char *data() const { return bytes_.data(); }
  size_t bytes() const { return bytes_.size(); }

 private:
  char *base_;
  std::vector<char> bytes_;
};

}  // namespace semgen::cuda
