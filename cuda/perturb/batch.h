// A batch of cube requests as rows of tasks: which kernel does what, in which order.
#pragma once
#include <map>
#include <vector>

#include "cuda/perturb/kernels.h"
#include "cuda/perturb/scans.h"
#include "cuda/perturb/tables.h"

namespace semgen::cuda {

/// Scratch that one request takes while its batch is made.
size_t scratchBytes(const CubeRequest &request, const CubeShape &shape);

/// Cubes to be made at once.
struct BatchOrder {
  const CubeRequest *requests;
  size_t count;
  const std::vector<PlacedBox> &boxes;
  float *original, *perturbed;  // on the device; the second may be null
  char *scratch;                // on the device: the sum of their scratchBytes
};

/// The tasks of a batch, and the table they lie in. Steps of one number and kind are one launch.
class Batch {
 public:
  /// @param base where the table will lie on the device
  Batch(const BatchOrder &order, const CubeShape &shape, char *base);
  const Table &table() const { return table_; }
  /// Starts everything in order. The table must be on its way on this stream.
  void start(cudaStream_t stream) const;

 private:
  /// Steps of the same number.
  struct Round {
    std::vector<ElasticTask> elastic;
    std::vector<ShuffleTask> shuffles;
    std::vector<CurveTask> curves;
    std::vector<PaintTask> painting;
    std::vector<RotateTask> rotations;
  };
  /// A round's tasks where they lie on the device.
  struct Rows {
    Tasks<ElasticTask> elastic;
    Tasks<ShuffleTask> shuffles;
    Tasks<CurveTask> curves;
    Tasks<PaintTask> painting;
    Tasks<RotateTask> rotations;
    int mostBlocks;
    int64_t largestBlock;
  };
  struct Cube;  // on its way through its steps
  void addStep(const Elastic &step, Round &round, Cube &cube);
  void addStep(const Shuffle &step, Round &round, Cube &cube);
  void addStep(const Nonlinear &step, Round &round, Cube &cube);
  void addStep(const Paint &step, Round &round, Cube &cube);
  void addStep(const Rotate &step, Round &round, Cube &cube);
  AxisTaps taps(int64_t size, int64_t extent);
  /// A Gaussian's weights, and its radius.
  std::pair<const float *, int> gaussian(double sigma);

  CubeShape shape_;
  Table table_;
  std::map<std::pair<int64_t, int64_t>, AxisTaps> taps_;
  std::map<double, std::pair<const float *, int>> gaussians_;
  Tasks<CropTask> crops_;
  std::vector<Rows> rows_;
};

}  // namespace semgen::cuda
