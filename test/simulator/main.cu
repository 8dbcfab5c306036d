#include <cstdio>
#include <exception>

#include "cuda/device.cuh"
#include "test/simulator/cases.h"

namespace semgen::cuda::test {

namespace {
struct Entry {
  std::string name;
  std::function<void()> body;
};
std::vector<Entry> &cases() {
  static std::vector<Entry> all;
  return all;
}
__global__ void threes(float *out) { out[threadIdx.x] = 3.0f; }
}  // namespace

void expectAlive() {
  Array<float> out(32);
  launch(nullptr, threes, Grid{1}, Block{32}, 0, out.data());
  expect(out.read() == std::vector<float>(32, 3.0f), "a launch after a fault gave a wrong result");
}

void expect(bool condition, const std::string &otherwise) {
  if (!condition) throw Error("NATIVE", otherwise);
}

void expectFault(const std::function<void()> &work, const std::vector<std::string> &parts) {
  std::string message;
  try {
    work();
  } catch (const Error &error) {
    message = error.what();
  }
  expect(!message.empty(), "the fault was not noticed");
  for (const std::string &part : parts)
    expect(message.find(part) != std::string::npos, "\"" + part + "\" is not in the message: " + message);
}

Case::Case(const char *name, std::function<void()> body) { cases().push_back({name, std::move(body)}); }

}  // namespace semgen::cuda::test

/// Without arguments: the cases' names. With one: runs that case, and says on standard output why it fails. Names that
/// begin with "--" are measurements; they are not listed.
int main(int count, char **arguments) {
  using namespace semgen::cuda::test;
  if (count < 2) {
    for (const auto &entry : cases())
      if (entry.name[0] != '-') std::puts(entry.name.c_str());
    return 0;
  }
  for (const auto &entry : cases()) {
    if (entry.name != arguments[1]) continue;
    try {
      entry.body();
      return 0;
    } catch (const std::exception &error) {
      std::puts(error.what());
      return 1;
    }
  }
  std::printf("There is no case \"%s\".\n", arguments[1]);
  return 2;
}
