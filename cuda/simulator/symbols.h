// Names for addresses of code, from debug information: for messages and counters, never on a fast path.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace semgen::simulator {

struct Place {
  std::string function;  // "conv_forward<64>", empty if not known
  std::string file;      // as the compiler was given it, without the folders above the project's; empty if not known
  unsigned line = 0;
};

/// One answer an address. Asks addr2line, where it is installed; without it, or without debug information, fields stay
/// empty.
std::vector<Place> locate(const std::vector<uintptr_t> &addresses);

/// The end of a path that says something: from the last "cuda/", "test/" or "bench/" folder on, else the file's name.
std::string shortPath(const std::string &path);

}  // namespace semgen::simulator
