#include "cuda/conv3d/weight_gradient.h"

#include <algorithm>

namespace semgen::cuda {

namespace {

int64_t volume(Int3 of) { return int64_t(of.x) * of.y * of.z; }

/// Points of one part of a run: what one step of bfloat16 reads, and a multiple of what float32 does.
constexpr int64_t runPoints = 32, mostPartialBytes = int64_t{256} << 20, mostSplits = 65535;
/// What tensor cores do while memory moves a byte: of the cards that this is for, 156 (A100) to 295 (H100) at most.
constexpr double operationsPerByte = 200;

}  // namespace

WeightGradientShape::WeightGradientShape(Arithmetic arithmetic, const Lattice &lattice, ChannelPair gathered, int plain,
                                         WeightsView view, int multiprocessors, size_t sharedLimit)
    : arithmetic(arithmetic),
      lattice(lattice),
      gathered{gathered.first, gathered.second},
      plain(plain),
      view(view),
      multiprocessors(multiprocessors),
      sharedLimit(sharedLimit) {
  int piece = 16 / int(elementBytes(arithmetic));
  aligned = gathered.first % piece == 0 && gathered.second % piece == 0;
  flat = int64_t(lattice.taps) * gathered.all();
  int columns = arithmetic == Arithmetic::bf16 && aligned && plain > 64 ? 128 : plain > 32 ? 64 : 32;
  bool found = fits(Way::oneChannel, firstLayerColumns) || (plain > 16 && fits(Way::bricks, haloGradientColumns)) ||
               fits(Way::runs, columns);
  if (found) split(splitsFor());
}

/// Whether there is such a way for this shape; if so, takes it, its splits still open.
bool WeightGradientShape::fits(Way way, int columns) {
  if (way == Way::runs) {
    bool exists = columns == 32 || columns == 64 || (columns == 128 && arithmetic == Arithmetic::bf16 && aligned);
    if (!exists) return false;
    choice = {way, columns};
    return true;
  }
  int all = gathered[0] + gathered[1];
  if (arithmetic != Arithmetic::bf16 || plain % 8 != 0) return false;
  HaloLayout tried{};
  size_t bytes = 0;
  if (way == Way::oneChannel) {
    if (all != 1 || columns != firstLayerColumns) return false;
    tried = layoutFor(lattice, lattice.out, firstLayerPointBits, 1);
    bytes = size_t(firstLayerPoints) * firstLayerColumns * 2 * 2 + size_t(firstLayerTaps) * firstLayerColumns * 4 +
            size_t(tried.units) * 2;
  } else {
    const Int3 &step = lattice.inStep;
    bool channels = gathered[0] % haloGradientChannels == 0 && gathered[1] % haloGradientChannels == 0;
    if (!channels || columns != haloGradientColumns || lattice.taps != 27 || step.x != 1 || step.y != 1 || step.z != 1)
      return false;
    tried = layoutFor(lattice, lattice.out, haloGradientPointBits, 3);
    bytes = size_t(haloGradientStages) * (size_t(tried.units) * 16 + (size_t{128} << haloGradientPointBits)) +
            size_t(tried.haloVoxels()) * 8;
    bytes = std::max(bytes, haloGradientStoreBytes);
    if (tried.halo.x != tried.brick.x + 2 || tried.halo.y != tried.brick.y + 2 || tried.halo.z != tried.brick.z + 2)
      return false;
  }
  if (wasteful(tried, lattice.out) || bytes > sharedLimit) return false;
  choice = {way, columns};
  layout = tried;
  bricks = bricksIn(lattice.out, layout.brick);
  sharedBytes = bytes;
  return true;
}

/// What is given out to the splits: bricks, or parts of runs.
int64_t WeightGradientShape::parts() const {
  if (choice.way != Way::runs) return int64_t(lattice.images) * volume(bricks);
  return (int64_t(lattice.images) * volume(lattice.out) + runPoints - 1) / runPoints;
}

/// The splits with which all blocks are done soonest, each taken to last as long as the longest, with the partial sums
/// that they cost. A tile is what a split is for one block; a card runs `slots` blocks at a time.
int64_t WeightGradientShape::soonest(int64_t tiles, int64_t slots, double operationsPerPart, int64_t partsToBegin,
                                     int64_t most) const {
  int64_t all = parts(), best = 1;
  double bestCost = 0;
  // More than eight waves leave nothing to gain.
  most = std::clamp<int64_t>((8 * slots + tiles - 1) / tiles, 1, std::min(most, all));
  for (int64_t splits = 1; splits <= most; ++splits) {
    int64_t each = (all + splits - 1) / splits, waves = (tiles * splits + slots - 1) / slots;
    double partials =
        splits == 1 && choice.way == Way::bricks ? 0 : 2.0 * double(splits * flat * plain) * sizeof(float);
    double cost = double(waves * slots * (each + partsToBegin)) * operationsPerPart + partials * operationsPerByte;
    if (splits > 1 && cost >= bestCost) continue;
    bestCost = cost;
    best = splits;
  }
  return best;
}

int64_t WeightGradientShape::splitsFor() const {
  int64_t fit = std::max<int64_t>(1, mostPartialBytes / (flat * plain * int64_t(sizeof(float)))), all = parts();
  // Four blocks a multiprocessor, each at least eight bricks; the partial sums are small.
  if (choice.way == Way::oneChannel) return std::min<int64_t>({4 * multiprocessors, fit, all / 8});
  int64_t columnTiles = (plain + choice.columns - 1) / choice.columns;
  if (choice.way == Way::bricks)
    return soonest((gathered[0] + gathered[1]) / haloGradientChannels * columnTiles, multiprocessors,
                   2.0 * (1 << haloGradientPointBits) * 27 * haloGradientChannels * haloGradientColumns, 1, fit);
  return soonest((flat + 127) / 128 * columnTiles, 2 * multiprocessors, 2.0 * runPoints * 128 * choice.columns, 4, fit);
}

/// Takes at most so many splits, as many as leave none empty. False where their sums would take too much memory.
bool WeightGradientShape::split(int64_t wanted) {
  int64_t all = parts(), each = (all + std::clamp<int64_t>(wanted, 1, all) - 1) / std::clamp<int64_t>(wanted, 1, all);
  int64_t taken = (all + each - 1) / each;
  if (taken > 1 && (taken > mostSplits || taken * flat * plain * int64_t(sizeof(float)) > mostPartialBytes))
    return false;
  choice.splits = splits = int(taken);
  (choice.way == Way::runs ? pointsPerSplit : bricksPerSplit) = choice.way == Way::runs ? each * runPoints : each;
  return true;
}

bool WeightGradientShape::choose(const TileChoice &wanted) {
  WeightGradientShape tried = *this;
  if (!tried.fits(wanted.way, wanted.columns) || !tried.split(wanted.splits) || tried.choice != wanted) return false;
  *this = tried;
  return true;
}

std::vector<TileChoice> WeightGradientShape::possible() const {
  std::vector<TileChoice> found;
  for (Way way : {Way::runs, Way::bricks, Way::oneChannel})
    for (int columns : {32, 64, 128}) {
      WeightGradientShape tried = *this;
      if (!tried.fits(way, columns)) continue;
      int64_t usual = std::max<int64_t>(1, tried.splitsFor());
      for (int64_t splits : {int64_t{1}, usual / 4, usual / 2, usual, 2 * usual, 4 * usual})
        if (splits >= 1 && tried.split(splits) && (found.empty() || found.back() != tried.choice))
          found.push_back(tried.choice);
    }
  return found;
}

std::string WeightGradientShape::key() const {
  return std::string(nameOf(arithmetic)) + " weight gradient " + inWords(lattice, gathered, {plain, 0});
}

bool WeightGradientShape::computesUnits() const {
  bool pointwise =
      arithmetic == Arithmetic::bf16 && aligned && choice.columns == 32 && lattice.taps == 1 && gathered[1] == 0;
  return choice.way == Way::bricks || (choice.way == Way::runs && pointwise);
}

}  // namespace semgen::cuda
