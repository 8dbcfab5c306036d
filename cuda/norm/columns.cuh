// Sums down the columns of [rows, channels]: what batch statistics and their gradients are made of.
//
// A block of 256 threads takes `width` channels (up to 32, neighbouring threads at neighbouring channels) and a share
// of the rows; its threads' sums are added in order through shared memory, and the blocks' in order by a second kernel.
#pragma once
#include "cuda/device.cuh"

namespace semgen::cuda {

inline constexpr int columnThreads = 256, rowsPerBlock = 1024, mostRowBlocks = 1024;

struct Columns {
  int64_t rows;
  int channels, width, blocks;

  Columns(int64_t rows, int channels) : rows(rows), channels(channels), width(1) {
    while (width < channels && width < 32) width *= 2;
    int64_t wanted = (rows + rowsPerBlock - 1) / rowsPerBlock;
    blocks = int(wanted < mostRowBlocks ? wanted : mostRowBlocks);
  }
  unsigned channelTiles() const { return unsigned((channels + width - 1) / width); }
  /// Of `values` float32 a block and channel.
  size_t partialBytes(int values) const { return size_t(blocks) * size_t(channels) * size_t(values) * sizeof(float); }

  SEMGEN_DEVICE int channel() const { return int(blockIdx.y) * width + int(threadIdx.x) % width; }
  SEMGEN_DEVICE int64_t firstRow() const { return share() * blockIdx.x; }
  SEMGEN_DEVICE int64_t lastRow() const {
    int64_t last = share() * (blockIdx.x + 1);
    return last < rows ? last : rows;
  }
  SEMGEN_DEVICE int lane() const { return int(threadIdx.x) / width; }
  SEMGEN_DEVICE int lanes() const { return columnThreads / width; }

 private:
  SEMGEN_DEVICE int64_t share() const { return (rows + blocks - 1) / blocks; }
};

/// How many, their mean, and the sum of their squared distances from it (Chan, Golub and LeVeque 1983).
struct Moments {
  float count, mean, squares;
  SEMGEN_DEVICE void add(float value) {
    count += 1;
    float before = value - mean;
    mean += before / count;
    squares += before * (value - mean);
  }
  SEMGEN_DEVICE void add(const Moments &other) {
    float all = count + other.count;
    if (other.count == 0) return;
    float difference = other.mean - mean, share = other.count / all;
    mean += difference * share;
    squares += other.squares + difference * difference * count * share;
    count = all;
  }
};

}  // namespace semgen::cuda
