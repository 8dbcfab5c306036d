// A block's shared memory, checked: which bytes were written, by which thread, who has read them since, and whether an
// asynchronous copy is still on its way to them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace semgen::simulator {

struct Fiber;

/// When a thread did something: its number in the block and its warp's clock then. 0: never.
using Stamp = uint32_t;
inline constexpr int kThreadBits = 10;
inline Stamp stampOf(uint32_t thread, uint32_t clock) { return clock << kThreadBits | thread; }
inline uint32_t threadOf(Stamp stamp) { return stamp & ((1u << kThreadBits) - 1); }
inline uint32_t clockOf(Stamp stamp) { return stamp >> kThreadBits; }

/// What is known of a word, or of a byte of a word that threads share out among them.
struct Cell {
  Stamp writer;      // of the latest write
  Stamp readers[2];  // since that write; of two warps where more than one has read
  uint8_t written;   // a bit a byte
  uint8_t split;     // the word's bytes have cells of their own
  uint8_t inFlight;  // a copy was started to it and not waited for
  uint8_t atomic;    // the latest write was atomic
};

enum class Sharing : uint8_t { read, write, atomic };

enum class SharedFault : uint8_t { none, unwritten, race, inFlight };

/// One stretch of shared memory: the static variables or the dynamic bytes.
class SharedMemory {
 public:
  ~SharedMemory();
  /// Makes room for `capacity` bytes at most. Call once, before reset.
  void reserve(size_t capacity);
  /// A new block: `bytes` at `base`, nothing written.
  void reset(uintptr_t base, size_t bytes);

  uintptr_t base() const { return base_; }
  size_t bytes() const { return bytes_; }

  /// Notes an access by this thread to [address, address + size), which must lie inside. On a fault, `*other` is the
  /// stamp of the thread it clashes with.
  SharedFault access(const Fiber &fiber, uintptr_t address, size_t size, Sharing sharing, Stamp *other);
  /// The same for a thread that reads or writes `words` whole words, where nothing is out of the ordinary: false, and
  /// nothing noted of the words from there on, if access must look closer.
  template <bool write>
  bool accessQuickly(const Fiber &fiber, uintptr_t address, size_t words);
  /// A copy is on its way to the words of [address, address + size), started by this thread.
  SharedFault start(const Fiber &fiber, uintptr_t address, size_t size, Stamp *other);
  /// It has arrived.
  void land(const Fiber &fiber, uintptr_t address, size_t size);

 private:
  SharedFault read(const Fiber &fiber, Cell &cell, uint8_t bytes, Stamp *other);
  SharedFault write(const Fiber &fiber, Cell &cell, uint8_t bytes, bool atomic, Stamp *other);
  void split(size_t word);

  uintptr_t base_ = 0;
  size_t bytes_ = 0, capacity_ = 0;
  size_t firstUsed_ = 0, endUsed_ = 0;  // words touched since the reset, and perhaps some between them
  Cell *words_ = nullptr;               // one a word
  Cell *wordBytes_ = nullptr;           // four a word, in use where it is split
};

}  // namespace semgen::simulator
