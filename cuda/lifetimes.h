// What shares the arena, told to the simulator: an operation may touch only what lives while it runs, and read only
// what was written in that life. On a card nobody watches, and this does nothing.
#pragma once
#include "cuda/launch.h"
#include "engine/program.h"

namespace semgen::cuda {

#ifdef SEMGEN_SIMULATOR

inline constexpr size_t guardBytes = 256;

/// To be called on the stream before each operation's launches, in order; works in captured graphs as well.
inline void beginOperation(const Program &program, int operation, cudaStream_t stream) {
  if (operation == 0 && program.arena() != nullptr)
    check(simulator::barInOrder(program.arena()->data(), program.arena()->bytes(), stream), "Barring the arena");
  std::vector<Program::Resident> all = program.residents();
  for (const Program::Resident &resident : all)
    if (resident.last == operation - 1)
      check(simulator::barInOrder(resident.data, resident.bytes, stream), "Barring a tensor");
  for (const Program::Resident &resident : all)
    if (resident.first == operation)
      check(simulator::openInOrder(resident.data, resident.bytes, stream), "Opening a tensor");
}

#else

inline constexpr size_t guardBytes = 0;
inline void beginOperation(const Program &, int, cudaStream_t) {}

#endif

}  // namespace semgen::cuda
