// A small test program of the simulator: cases register themselves, the program lists or runs them. Without the
// simulator (nvcc -std=c++20 -I. main.cu matrix.cu fragments.cu warps.cu) the cases that plant no fault run on a card,
// and say whether the simulator means what it means.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "cuda/launch.h"

namespace semgen::cuda::test {

/// Throws a sentence when something is not as expected.
void expect(bool condition, const std::string &otherwise);
/// The work must fail with a message that holds each of these.
void expectFault(const std::function<void()> &work, const std::vector<std::string> &parts);

/// After a fault: the next launch must work.
void expectAlive();

/// In the simulator: the order of threads, and how many host threads run blocks. Cards have ways of their own.
inline void schedule(uint64_t seed, int workers = 0) {
#ifdef SEMGEN_SIMULATOR
  simulator::setSeed(seed);
  simulator::setWorkers(workers);
#else
  (void)seed, (void)workers;
#endif
}

struct Case {
  Case(const char *name, std::function<void()> body);
};

/// An array on the device.
template <class T>
class Array {
 public:
  explicit Array(size_t count) : count_(count) { check(cudaMalloc(&data_, count * sizeof(T)), "cudaMalloc"); }
  explicit Array(const std::vector<T> &values) : Array(values.size()) {
    check(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;
  ~Array() { (void)cudaFree(data_); }
  T *data() const { return data_; }
  std::vector<T> read() const {
    std::vector<T> values(count_);
    check(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  T *data_ = nullptr;
  size_t count_;
};

}  // namespace semgen::cuda::test

#define SEMGEN_JOIN(a, b) a##b
#define SEMGEN_CASE(name, line)                                                                     \
  static void SEMGEN_JOIN(body_, line)();                                                           \
  static const ::semgen::cuda::test::Case SEMGEN_JOIN(case_, line)(name, SEMGEN_JOIN(body_, line)); \
  static void SEMGEN_JOIN(body_, line)()
#define SEMGEN_CASE_AT(name, line) SEMGEN_CASE(name, line)
/// TEST_CASE("what holds") { ... }
#define TEST_CASE(name) SEMGEN_CASE_AT(name, __LINE__)
