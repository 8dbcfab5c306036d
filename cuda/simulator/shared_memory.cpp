#include "cuda/simulator/shared_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "cuda/simulator/multiprocessor.h"
#include "engine/error.h"

namespace semgen::simulator {

namespace {

Cell *reserveCells(size_t count) {
  void *cells =
      mmap(nullptr, count * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (cells == MAP_FAILED) throw Error("OUT_OF_MEMORY", "The simulator found no memory to watch shared memory with.");
  return static_cast<Cell *>(cells);
}

}  // namespace

SharedMemory::~SharedMemory() {
  if (words_ == nullptr) return;
  munmap(words_, (capacity_ / 4 + 1) * sizeof(Cell));
  munmap(wordBytes_, (capacity_ / 4 + 1) * 4 * sizeof(Cell));
}

void SharedMemory::reserve(size_t capacity) {
  capacity_ = capacity;
  words_ = reserveCells(capacity / 4 + 1);
  wordBytes_ = reserveCells((capacity / 4 + 1) * 4);
}

void SharedMemory::reset(uintptr_t base, size_t bytes) {
  base_ = base;
  bytes_ = bytes;
  // Static variables are those of all kernels; a block touches few of them.
  if (endUsed_ > firstUsed_)
    std::memset(static_cast<void *>(words_ + firstUsed_), 0, (endUsed_ - firstUsed_) * sizeof(Cell));
  firstUsed_ = SIZE_MAX;
  endUsed_ = 0;
}

void SharedMemory::split(size_t word) {
  Cell &cell = words_[word];
  for (int i = 0; i < 4; ++i) {
    Cell &byte = wordBytes_[word * 4 + i];
    byte = cell;
    byte.written = cell.written >> i & 1;
  }
  cell.split = 1;
}

inline SharedFault SharedMemory::read(const Fiber &fiber, Cell &cell, uint8_t bytes, Stamp *other) {
  if ((cell.written & bytes) != bytes) return SharedFault::unwritten;
  if (!ordered(cell.writer, fiber)) {
    *other = cell.writer;
    return SharedFault::race;
  }
  Stamp now = fiber.stamp();
  Stamp &first = cell.readers[0], &second = cell.readers[1];
  if (first == 0 || ordered(first, fiber)) {
    first = now;
  } else if (second == 0 || ordered(second, fiber) || threadOf(second) >> 5 == threadOf(first) >> 5) {
    second = now;
  }
  return SharedFault::none;
}

inline SharedFault SharedMemory::write(const Fiber &fiber, Cell &cell, uint8_t bytes, bool atomic, Stamp *other) {
  if (cell.writer != 0 && !ordered(cell.writer, fiber) && !(atomic && cell.atomic)) {
    *other = cell.writer;
    return SharedFault::race;
  }
  for (Stamp reader : cell.readers)
    if (reader != 0 && !ordered(reader, fiber)) {
      *other = reader;
      return SharedFault::race;
    }
  cell.writer = fiber.stamp();
  cell.readers[0] = cell.readers[1] = 0;
  cell.written |= bytes;
  cell.atomic = atomic;
  return SharedFault::none;
}

SharedFault SharedMemory::access(const Fiber &fiber, uintptr_t address, size_t size, Sharing sharing, Stamp *other) {
  size_t at = address - base_, end = at + size;
  firstUsed_ = std::min(firstUsed_, at / 4);
  endUsed_ = std::max(endUsed_, (end + 3) / 4);
  bool atomic = sharing == Sharing::atomic;
  while (at < end) {
    size_t word = at / 4, next = std::min(end, word * 4 + 4);
    Cell &cell = words_[word];
    if (cell.inFlight) {
      *other = cell.writer;
      return SharedFault::inFlight;
    }
    bool whole = next - at == 4;
    if (!whole && !cell.split) split(word);
    SharedFault fault = SharedFault::none;
    if (!cell.split) {
      // An atomic operation reads what is there, and so needs it written.
      if (atomic && cell.written != 15) return SharedFault::unwritten;
      fault = sharing == Sharing::read ? read(fiber, cell, 15, other) : write(fiber, cell, 15, atomic, other);
    } else {
      for (size_t byte = at; byte < next && fault == SharedFault::none; ++byte) {
        Cell &part = wordBytes_[byte];
        if (atomic && part.written != 1) return SharedFault::unwritten;
        fault = sharing == Sharing::read ? read(fiber, part, 1, other) : write(fiber, part, 1, atomic, other);
      }
    }
    if (fault != SharedFault::none) return fault;
    at = next;
  }
  return SharedFault::none;
}

SharedFault SharedMemory::start(const Fiber &fiber, uintptr_t address, size_t size, Stamp *other) {
  SharedFault fault = access(fiber, address, size, Sharing::write, other);
  for (size_t word = (address - base_) / 4; word < (address - base_ + size) / 4; ++word) words_[word].inFlight = 1;
  return fault;
}

void SharedMemory::land(const Fiber &fiber, uintptr_t address, size_t size) {
  for (size_t word = (address - base_) / 4; word < (address - base_ + size) / 4; ++word)
    words_[word] = {fiber.stamp(), {0, 0}, 15, 0, 0, 0};
}

}  // namespace semgen::simulator
