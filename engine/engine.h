// What an engine's build provides to the binding.
#pragma once
#include <memory>
#include <string>

#include "engine/program.h"
#include "engine/tiles.h"

namespace semgen {

struct EngineOptions {
  int threads = 0;        // of the CPU engine; 0: all the machine has
  int gpu = 0;            // which card
  size_t hostMemory = 0;  // bytes that this process may take of the host; 0: all the machine has (CPU engine)
  bool tf32 = false;      // products of float32 activations may be rounded to tf32 on tensor cores (cards)
  TileTable tiles;        // what its convolutions take instead of what they would (cards)
};

struct EngineInfo {
  std::string library;       // "oneDNN 2.6.3"
  std::string instructions;  // what it runs on: "AVX-512 BF16"
  bool bf16 = false;         // bfloat16 activations are faster than float32 here
  std::string unavailable;   // why no engine can be opened on this machine; empty where one can
};

std::shared_ptr<Engine> openEngine(const EngineOptions &options);
EngineInfo engineInfo();

}  // namespace semgen
