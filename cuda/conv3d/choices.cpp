#include "cuda/conv3d/choices.h"

#include <algorithm>

#include "cuda/conv3d/workbench.h"
#include "cuda/launch.h"

namespace semgen::cuda {

namespace {

Card cardOf(int gpu) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, gpu), "Asking about the card");
#ifdef SEMGEN_SIMULATOR
  // What it counts is no card's time: no card is to take a table that it wrote.
  std::string architecture = "sim";
#else
  std::string architecture = "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
#endif
  return {architecture, properties.sharedMemPerBlockOptin, properties.multiProcessorCount};
}

std::string inWords(const TileChoice &choice) {
  std::string text = choice.way == Way::runs ? "runs" : choice.way == Way::bricks ? "bricks" : "one-channel";
  text.append(" of ").append(std::to_string(choice.columns)).append(" columns");
  if (choice.splits != 1) text.append(" in ").append(std::to_string(choice.splits)).append(" splits");
  return text;
}

Error impossible(const TileChoice &choice, const std::string &key) {
  return Error("BAD_FILE", "The table of tiles (--tiles) asks for " + inWords(choice) +
                               ", which this card cannot do for \"" + key +
                               "\": write the table anew with bench tune on this machine.");
}

}  // namespace

Choices::Choices(Device &device, int gpu, cudaStream_t stream, TileTable table)
    : device_(device), gpu_(gpu), stream_(stream), table_(std::move(table)), card_(cardOf(gpu)) {}

Choices::~Choices() = default;

template <class Shape>
Shape Choices::settled(Shape shape) {
  std::string key = card_.architecture + " " + shape.key();
  auto wanted = table_.find(key);
  if (wanted != table_.end() && !shape.choose(wanted->second)) throw impossible(wanted->second, key);
  auto known = std::find_if(known_.begin(), known_.end(), [&](const Known &k) { return k.key == key; });
  if (known == known_.end())
    known_.push_back({key, 1, shape});
  else
    ++known->uses;
  return shape;
}

ConvolveShape Choices::convolution(Arithmetic arithmetic, const Lattice &lattice, WeightsView weights, ChannelPair in,
                                   ChannelPair out) {
  return settled(ConvolveShape(arithmetic, lattice, weights, in, out, card_.multiprocessors, card_.sharedBytes));
}

WeightGradientShape Choices::gradient(Arithmetic arithmetic, const Lattice &lattice, ChannelPair gathered, int plain,
                                      WeightsView view) {
  return settled(
      WeightGradientShape(arithmetic, lattice, gathered, plain, view, card_.multiprocessors, card_.sharedBytes));
}

std::vector<TileRequest> Choices::requests() const {
  std::vector<TileRequest> all;
  for (const Known &known : known_)
    std::visit([&](const auto &shape) { all.push_back({known.key, known.uses, shape.choice, shape.possible()}); },
               known.shape);
  return all;
}

void Choices::begin(const std::string &key) {
  auto known = std::find_if(known_.begin(), known_.end(), [&](const Known &k) { return k.key == key; });
  if (known == known_.end()) throw Error("NATIVE", "Nothing was compiled that is \"" + key + "\".");
  check(cudaSetDevice(gpu_), "Choosing the card");
  bench_.reset();
  bench_ = std::make_unique<Workbench>(device_, stream_, known->shape, key);
}

TileTrial Choices::trial(const TileChoice &choice, int runs) {
  if (!bench_) throw Error("NATIVE", "A trial was begun without a request.");
  check(cudaSetDevice(gpu_), "Choosing the card");
  auto shape = bench_->shape();
  if (!std::visit([&](auto &of) { return of.choose(choice); }, shape)) throw impossible(choice, bench_->key());
  return bench_->measure(shape, runs);
}

void Choices::end() { bench_.reset(); }

}  // namespace semgen::cuda
