// The device's memory: one reserved range of addresses, allocations far apart in it, and a shadow of the same size
// that says of every byte whether it is allocated and written; of every word, which block wrote it; and of every
// sector, which launch touched it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace semgen::simulator {

extern uintptr_t deviceBase;    // of the range; 0 before the first allocation
extern size_t deviceBytes;      // of the range
extern ptrdiff_t shadowDelta;   // from a byte to its shadow
extern ptrdiff_t stampDelta;    // from a word to its stamp: the launch (upper half) and block that wrote it last
extern uintptr_t sectorStamps;  // of all sectors, two each

// States of a byte. Bit 0: may be written. Bit 1: was written.
inline constexpr uint8_t kUnallocated = 0, kUnwritten = 1, kWritten = 3, kBarred = 4;

inline bool inDevice(uintptr_t address) { return address - deviceBase < deviceBytes; }
inline uint8_t *shadowOf(uintptr_t address) { return reinterpret_cast<uint8_t *>(address + shadowDelta); }

inline uint32_t *stampOf(uintptr_t address) {
  return reinterpret_cast<uint32_t *>((address & ~uintptr_t{3}) + stampDelta);
}
/// Of a sector of 32 bytes, by its address / 32: the launch that read it last, or wrote it.
inline uint16_t *sectorStampOf(uint64_t sector, bool write) {
  return reinterpret_cast<uint16_t *>(sectorStamps) + 2 * (sector - deviceBase / 32) + write;
}
/// Forgets all stamps, before launches are numbered anew.
void clearStamps();

/// nullptr where memory runs out. Aligned to a page; zeros, but unwritten.
void *allocateDevice(size_t bytes);
/// False if `device` is not the start of an allocation.
bool freeDevice(void *device);
size_t deviceMemoryTotal();
size_t deviceMemoryFree();

/// What stops [address, address + bytes) from being read (written): empty if nothing does.
std::string obstacle(uintptr_t address, size_t bytes, bool write);
void markWritten(uintptr_t address, size_t bytes);
/// Where an address lies, in words: "4 bytes past the end of an allocation of 1024 bytes".
std::string describeAddress(uintptr_t address);

/// The most shared memory a block may have: 227 KiB, as on sm_90, or SEMGEN_SIM_SHARED KiB (163 on sm_80; 99 on sm_86,
/// sm_89 and sm_120), so that what kernels do on smaller cards is tested, too.
size_t sharedMemoryLimit();
/// 8, so that grids sized by it stay small, or SEMGEN_SIM_MULTIPROCESSORS: counts that are to hold for a card need its.
int multiprocessors();

}  // namespace semgen::simulator
