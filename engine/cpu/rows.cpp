#include "engine/cpu/rows.h"

#include <omp.h>

namespace semgen::cpu {

/// Calls visit(run, its first element in rows, block) for every run of channels of rows first .. last.
template <class T, class Visit>
static void forRuns(const ChannelView &view, T *base, int64_t first, int64_t last, Visit &&visit) {
  int64_t n = first / view.voxels, v = first % view.voxels;
  for (int64_t i = 0; i < last - first; ++i) {
    T *position = base + n * view.strideN + v * view.strideVoxel;
    for (int64_t b = 0; b < view.blocks; ++b)
      visit(position + b * view.strideBlock, i * view.channels + b * view.lanes, b);
    if (++v == view.voxels) v = 0, ++n;
  }
}

void Rows::load(int64_t first, int64_t last, float *rows) const {
  withType(operand_.desc.data_type(), [&]<class T>() {
    forRuns(view_, c_->data<const T>(operand_.id), first, last, [&](const T *run, int64_t at, int64_t block) {
      for (int64_t lane = 0; lane < view_.lanesIn(block); ++lane) rows[at + lane] = toFloat(run[lane]);
    });
  });
}

void Rows::store(int64_t first, int64_t last, const float *rows) const {
  withType(operand_.desc.data_type(), [&]<class T>() {
    forRuns(view_, c_->data<T>(operand_.id), first, last, [&](T *run, int64_t at, int64_t block) {
      int64_t lanes = view_.lanesIn(block), stored = view_.storedIn(block);
      for (int64_t lane = 0; lane < lanes; ++lane) semgen::cpu::store(run + lane, rows[at + lane]);
      for (int64_t lane = lanes; lane < stored; ++lane) semgen::cpu::store(run + lane, 0.0f);
    });
  });
}

RowBuffers::RowBuffers(CpuCompiler &c, const Rows &rows, int buffers)
    : c_(&c),
      length_(std::max<int64_t>(1, 4096 / rows.channels())),
      elements_(length_ * rows.channels()),
      buffers_(buffers),
      memory_(c.program.scratch(size_t(elements_ * buffers * c.threads) * sizeof(float))) {}

float *RowBuffers::mine(int buffer) const {
  return c_->data<float>(memory_) + (omp_get_thread_num() * buffers_ + buffer) * elements_;
}

}  // namespace semgen::cpu
