// Local shuffling: block after block of the cube gets its own former values in another order; where blocks overlap,
// the last one stays. The draws are one stream of words: a block takes three for its size, three for its place, and
// one fewer than it has voxels for its order (Fisher and Yates), so where a block's draws begin depends on all before.
//
// 1. begin: to = from, no voxel has an owner. A thread a voxel.
// 2. walk: where each block's draws begin. A CUDA block a cube: 256 threads make 1024 words at a time, and of each word
//    how far the next block's draws would be if one began there; one thread follows these steps. About a microsecond
//    for 34 blocks; cubes side by side.
// 3. claim: owners, by the integer maximum of block numbers: no order of threads changes it. A thread a block.
// 4. arrange: each block's order, and its values into the voxels it owns. A thread a block, the order in shared memory
//    (neighbouring lanes in neighbouring banks' halves), or in global memory where blocks are too large for it.
#include "cuda/perturb/philox.cuh"
#include "cuda/perturb/voxels.cuh"

namespace semgen::cuda {

namespace {

constexpr int walkThreads = 256, chunkWords = 4 * walkThreads, claimThreads = 128;
constexpr size_t mostShared = 96 * 1024;  // what every card has for one block
constexpr int sizeAndPlace = 6;           // words of a block before those of its order

struct Begin {
  SEMGEN_DEVICE void operator()(const ShuffleTask &task, const CubeShape &, int i) const {
    task.to[i] = task.from[i];
    task.owners[i] = -1;
  }
};

__global__ void __launch_bounds__(walkThreads) walk(const ShuffleTask *tasks) {
  __shared__ uint32_t words[chunkWords + 4];
  __shared__ int64_t after[chunkWords];
  __shared__ int64_t begin;  // the chunk's first word
  __shared__ int64_t place;  // of the next block's draws, from there
  __shared__ int found;
  const ShuffleTask &task = tasks[blockIdx.x];
  const int thread = int(threadIdx.x);
  if (thread == 0) {
    begin = place = 0;
    found = 0;
  }
  for (;;) {
    __syncthreads();
    if (found >= task.blocks) return;
    for (int quad = thread; quad <= walkThreads; quad += walkThreads) {
      uint4 four = philoxWords(task.draws, uint32_t(begin / 4 + quad));
      words[4 * quad] = four.x;
      words[4 * quad + 1] = four.y;
      words[4 * quad + 2] = four.z;
      words[4 * quad + 3] = four.w;
    }
    __syncthreads();
    for (int word = thread; word < chunkWords; word += walkThreads) {
      int64_t voxels = 1;
      for (int axis = 0; axis < 3; ++axis) voxels *= 1 + integerBelow(words[word + axis], task.largest[axis]);
      after[word] = word + sizeAndPlace + voxels - 1;
    }
    __syncthreads();
    if (thread != 0) continue;
    int64_t at = place;
    int number = found;
    for (; at < chunkWords && number < task.blocks; at = after[at]) task.positions[number++] = uint64_t(begin + at);
    found = number;
    begin += at / chunkWords * chunkWords;  // a large block's draws may take whole chunks
    place = at % chunkWords;
  }
}

/// A block to be shuffled, and its draws, of which those for its order are next.
struct Drawn {
  WordReader draws;
  int size[3], start[3];

  SEMGEN_DEVICE Drawn(const ShuffleTask &task, const CubeShape &shape, int number)
      : draws(task.draws, task.positions[number]) {
    const int extents[3] = {shape.x, shape.y, shape.z};
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) size[axis] = 1 + integerBelow(draws.word(), task.largest[axis]);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) start[axis] = integerBelow(draws.word(), extents[axis] - size[axis] + 1);
  }
  SEMGEN_DEVICE int voxels() const { return size[0] * size[1] * size[2]; }
  /// The cube's index of voxel i of the block.
  SEMGEN_DEVICE int voxel(const CubeShape &shape, int i) const {
    int z = i % size[2], line = i / size[2], y = line % size[1], x = line / size[1];
    return ((start[0] + x) * shape.y + start[1] + y) * shape.z + start[2] + z;
  }
};

__global__ void __launch_bounds__(claimThreads) claim(const ShuffleTask *tasks, CubeShape shape) {
  const ShuffleTask &task = tasks[blockIdx.y];
  int number = int(blockIdx.x) * claimThreads + int(threadIdx.x);
  if (number >= task.blocks) return;
  Drawn block(task, shape, number);
  for (int i = 0, voxels = block.voxels(); i < voxels; ++i) atomicMax(task.owners + block.voxel(shape, i), number);
}

/// `window[i * stride]` for each voxel of the block is this thread's own.
template <class Index>
SEMGEN_DEVICE void arrangeBlock(const ShuffleTask &task, const CubeShape &shape, int number, Index *window,
                                int64_t stride) {
  Drawn block(task, shape, number);
  const int voxels = block.voxels();
  for (int i = 0; i < voxels; ++i) window[i * stride] = Index(i);
  for (int i = voxels - 1; i > 0; --i) {
    int other = integerBelow(block.draws.word(), i + 1);
    Index kept = window[i * stride];
    window[i * stride] = window[other * stride];
    window[other * stride] = kept;
  }
  for (int i = 0; i < voxels; ++i) {
    int voxel = block.voxel(shape, i);
    if (task.owners[voxel] == number) task.to[voxel] = task.from[block.voxel(shape, int(window[i * stride]))];
  }
}

__global__ void arrange(const ShuffleTask *tasks, CubeShape shape) {
  SHARED_MEMORY(uint16_t, windows);
  const ShuffleTask &task = tasks[blockIdx.y];
  int number = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (number < task.blocks) arrangeBlock(task, shape, number, windows + threadIdx.x, int64_t(blockDim.x));
}

/// As many blocks at once as windows fit the scratch, the others after them.
__global__ void __launch_bounds__(claimThreads) arrangeLarge(const ShuffleTask *tasks, CubeShape shape) {
  const ShuffleTask &task = tasks[blockIdx.y];
  int64_t largest = int64_t(task.largest[0]) * task.largest[1] * task.largest[2];
  int64_t workers = task.windowWords / largest, all = int64_t(gridDim.x) * claimThreads;
  if (workers > all) workers = all;
  int64_t worker = int64_t(blockIdx.x) * claimThreads + threadIdx.x;
  if (worker >= workers) return;
  for (int64_t number = worker; number < task.blocks; number += workers)
    arrangeBlock(task, shape, int(number), task.windows + worker, workers);
}

}  // namespace

void startShuffles(cudaStream_t stream, Tasks<ShuffleTask> row, const CubeShape &shape, int mostBlocks,
                   int64_t largestBlock) {
  auto cubes = unsigned(row.count);
  startOverVoxels(stream, row, shape, shape.voxels, Begin{});
  launch(stream, walk, Grid{cubes}, Block{walkThreads}, 0, row.tasks);
  auto blocksOf = [&](int threads) { return unsigned((int64_t(mostBlocks) + threads - 1) / threads); };
  launch(stream, claim, Grid{blocksOf(claimThreads), cubes}, Block{claimThreads}, 0, row.tasks, shape);
  for (int threads : {64, 32}) {
    size_t shared = size_t(threads) * size_t(largestBlock) * sizeof(uint16_t);
    if (shared > (threads == 64 ? mostShared / 4 : mostShared)) continue;
    return launch(stream, arrange, Grid{blocksOf(threads), cubes}, Block{unsigned(threads)}, shared, row.tasks, shape);
  }
  launch(stream, arrangeLarge, Grid{blocksOf(claimThreads), cubes}, Block{claimThreads}, 0, row.tasks, shape);
}

}  // namespace semgen::cuda
