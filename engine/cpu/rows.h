// Activations as our own loops read and write them: rows of float32 channels, whatever the layout and element type.
#pragma once
#include "engine/cpu/values.h"

namespace semgen::cpu {

/// An activation's positions (n, x, y, z), in order, each a row of C float32. [N, F] has one position an n.
/// Made when an operation is compiled, and copied into its loops.
class Rows {
 public:
  /// Refuses types that load and store do not have: in a parallel loop nothing may be thrown.
  Rows(CpuCompiler &c, const Operand &operand) : c_(&c), operand_(operand), view_(operand.desc) {
    withType(operand.desc.data_type(), []<class T>() {});
  }
  int64_t positions() const { return view_.images * view_.voxels; }
  int64_t channels() const { return view_.channels; }
  /// Rows first .. last, to or from rows[last - first][C]. Storing also zeroes the lanes that pad a blocked layout:
  /// oneDNN computes on them.
  void load(int64_t first, int64_t last, float *rows) const;
  void store(int64_t first, int64_t last, const float *rows) const;

 private:
  CpuCompiler *c_;
  Operand operand_;
  ChannelView view_;
};

/// Pieces of a loop over rows, small enough for a thread to keep some in its cache.
class RowBuffers {
 public:
  /// Memory for `buffers` pieces a thread, from the arena.
  RowBuffers(CpuCompiler &c, const Rows &rows, int buffers);
  /// How many rows a piece has.
  int64_t length() const { return length_; }
  /// The calling thread's piece `buffer`.
  float *mine(int buffer) const;

 private:
  CpuCompiler *c_;
  int64_t length_, elements_;
  int buffers_;
  TensorId memory_;
};

}  // namespace semgen::cpu
