// Files of volumes: mapped, and inflated with a bound that the caller knows beforehand.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace semgen {

/// A file mapped read-only. Throws Error IO.
class MappedFile {
 public:
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  const uint8_t *data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  const uint8_t *data_ = nullptr;
  size_t bytes_ = 0;
};

struct FreeDeleter {
  void operator()(void *memory) const { free(memory); }
};
using Bytes = std::unique_ptr<uint8_t, FreeDeleter>;

/// The first `wanted` bytes of a gzip file, however many members it has; the memory is somewhat larger.
/// Throws Error BAD_FILE when it is damaged, holds fewer, or in one member over 64 KiB more; OUT_OF_MEMORY, IO.
Bytes inflateGzip(const std::string &path, size_t wanted);

}  // namespace semgen
