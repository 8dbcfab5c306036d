// Memory of a device: what an engine gives to tensors and programs.
#pragma once
#include <cstddef>
#include <memory>

namespace semgen {

/// Memory that is given back when this ends. Made by Device::allocate.
class Buffer {
 public:
  Buffer(void *data, size_t bytes) : data_(data), bytes_(bytes) {}
  virtual ~Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  /// An address of the device; null where there are no bytes. Only the CPU engine's can be read by the host.
  void *data() const { return data_; }
  size_t bytes() const { return bytes_; }

 protected:
  void *data_;
  size_t bytes_;
};

/// Where an engine keeps its tensors. Copies wait for what the device does, and are done when they return.
class Device {
 public:
  virtual ~Device() = default;
  /// Zero-filled, on a boundary of 256 bytes at least. `purpose` ends the sentence of an error: "the activations of a
  /// step". Throws Error OUT_OF_MEMORY, saying how much was asked and what is free.
  virtual std::unique_ptr<Buffer> allocate(size_t bytes, const char *purpose) = 0;
  /// From the host to the device, and back.
  virtual void upload(void *to, const void *from, size_t bytes) = 0;
  virtual void download(void *to, const void *from, size_t bytes) = 0;
  /// Within the device.
  virtual void copy(void *to, const void *from, size_t bytes) = 0;
  /// Bytes of its memory that nobody uses now; 0 where it is the host's, which others know better.
  virtual size_t freeBytes() { return 0; }
};

/// Throws Error OUT_OF_MEMORY in the words of all engines; `available` 0 where nobody knows.
[[noreturn]] void outOfMemory(size_t bytes, const char *purpose, size_t available);

}  // namespace semgen
