// Tile shapes of an engine's convolutions: a table that overrides what it would choose by itself, and a tuner that
// tries what can be chosen. Engines whose library chooses have neither.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace semgen {

/// How a convolution goes over its points: in runs of points, in bricks whose halo lies in shared memory, or, where it
/// reads one channel, with the taps as the depth of its product.
enum class Way { runs, bricks, oneChannel };

/// What can be chosen of a convolution or of a weight gradient.
struct TileChoice {
  Way way = Way::runs;
  int columns = 0;  // channels that a block computes
  int splits = 1;   // parts summed apart, and then in order: of a weight gradient's points; of channels read in bricks
  bool operator==(const TileChoice &) const = default;
};

/// By key: architecture, arithmetic and shape in words, as the engine writes them (TileRequest).
using TileTable = std::map<std::string, TileChoice>;

/// A convolution or weight gradient that an engine compiled.
struct TileRequest {
  std::string key;
  int uses = 0;  // so far, in all programs
  TileChoice chosen;
  std::vector<TileChoice> possible;
};

struct TileTrial {
  std::vector<double> seconds;  // of each run
  double error;                 // root mean square of the differences from the chosen way, as a share of the values'
  double tolerance;             // what another order of its sums can come to
};

class TileTuner {
 public:
  virtual ~TileTuner() = default;
  virtual std::vector<TileRequest> requests() const = 0;
  /// Makes inputs for a request, and computes it as chosen. Throws Error NATIVE for an unknown key, OUT_OF_MEMORY.
  virtual void begin(const std::string &key) = 0;
  /// Computes the same as `choice` says so many times. Throws Error BAD_FILE where that is impossible.
  virtual TileTrial trial(const TileChoice &choice, int runs) = 0;
  /// Gives the memory back.
  virtual void end() = 0;
};

}  // namespace semgen
