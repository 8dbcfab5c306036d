#include "engine/host/volume_files.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/error.h"

namespace semgen {

MappedFile::MappedFile(const std::string &path) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat about;
  if (file < 0 || fstat(file, &about) != 0) {
    std::string cause = std::strerror(errno);
    if (file >= 0) close(file);
    throw Error("IO", path + " could not be opened: " + cause + ".");
  }
  bytes_ = size_t(about.st_size);
  if (bytes_ > 0) {
    void *mapped = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file, 0);
    std::string cause = std::strerror(errno);
    close(file);
    if (mapped == MAP_FAILED) throw Error("IO", path + " could not be mapped: " + cause + ".");
    data_ = static_cast<const uint8_t *>(mapped);
  } else {
    close(file);
  }
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<uint8_t *>(data_), bytes_);
}

Bytes inflateGzip(const std::string &path, size_t wanted) {
  MappedFile file(path);
  // What follows the voxels is let be, as it is in a file that is not compressed; but a member is inflated whole.
  constexpr size_t slack = 64 << 10;
  const size_t room = wanted + slack;
  // Huge pages: a volume of hundreds of megabytes would else be faulted in 4 KiB at a time.
  constexpr size_t page = 2 << 20;
  size_t capacity = (room + page - 1) / page * page;
  Bytes result(static_cast<uint8_t *>(wanted >= page ? aligned_alloc(page, capacity) : malloc(room)));
  if (result && wanted >= page) madvise(result.get(), capacity, MADV_HUGEPAGE);
  if (!result)
    throw Error("OUT_OF_MEMORY", path + " needs " + std::to_string(wanted >> 20) + " MiB of memory to be read.");
  std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor *)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (!decompressor) throw Error("OUT_OF_MEMORY", "There is no memory to decompress " + path + ".");

  size_t read = 0, written = 0;
  while (written < wanted) {
    if (read >= file.bytes())
      throw Error("BAD_FILE", path + " is cut short: it holds " + std::to_string(written) + " bytes of the " +
                                  std::to_string(wanted) + " that its header announces.");
    size_t in = 0, out = 0;
    libdeflate_result outcome = libdeflate_gzip_decompress_ex(
        decompressor.get(), file.data() + read, file.bytes() - read, result.get() + written, room - written, &in, &out);
    if (outcome == LIBDEFLATE_INSUFFICIENT_SPACE)
      throw Error("BAD_FILE", path + " holds over 64 KiB more than the " + std::to_string(wanted) +
                                  " bytes that its header announces.");
    if (outcome != LIBDEFLATE_SUCCESS)
      throw Error("BAD_FILE", path + " is cut short or damaged: its gzip data does not decompress.");
    read += in;
    written += out;
  }
  return result;
}

}  // namespace semgen
