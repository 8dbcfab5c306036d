#include "engine/program.h"

#include <algorithm>
#include <chrono>

#include "engine/cost.h"
#include "engine/memory_plan.h"
#include "engine/ops.h"

namespace semgen {

Program::Slot &Program::slot(TensorId id) {
  if (id < 0 || size_t(id) >= slots_.size())
    throw Error("NATIVE",
                "A program of " + std::to_string(slots_.size()) + " tensors has no tensor " + std::to_string(id) + ".");
  return slots_[id];
}

TensorId Program::activation(Shape shape, DType dtype) {
  for (int64_t extent : shape)
    if (extent < 1) throw Error("NATIVE", "A tensor of " + describe(shape) + " has no elements.");
  Slot slot;
  slot.bytes = size_t(elements(shape)) * sizeOf(dtype);
  slot.shape = std::move(shape);
  slot.dtype = dtype;
  slots_.push_back(std::move(slot));
  return TensorId(slots_.size()) - 1;
}

TensorId Program::opaque() {
  slots_.emplace_back();
  return TensorId(slots_.size()) - 1;
}

TensorId Program::bind(std::shared_ptr<Tensor> tensor) {
  for (size_t id = 0; id < slots_.size(); ++id)
    if (slots_[id].tensor == tensor) return TensorId(id);
  Slot slot;
  slot.shape = tensor->shape;
  slot.dtype = tensor->dtype;
  slot.bytes = tensor->bytes();
  slot.data = tensor->data();
  slot.tensor = std::move(tensor);
  slots_.push_back(std::move(slot));
  return TensorId(slots_.size()) - 1;
}

TensorId Program::scratch(size_t bytes, Shape shape, DType dtype) {
  Slot slot;
  slot.shape = std::move(shape);
  slot.dtype = dtype;
  slot.bytes = bytes;
  slot.first = slot.last = compiling_;
  slots_.push_back(std::move(slot));
  return TensorId(slots_.size()) - 1;
}

void Program::record(Operation operation) {
  if (compiler_) throw Error("NATIVE", "A compiled program takes no further operations.");
  checkOperation(operation);
  int index = int(operations_.size());
  for (const auto &[role, ids] : operation.inputs)
    for (TensorId id : ids) {
      const Slot &input = slot(id);
      if (!input.tensor && input.first < 0)
        throw Error("NATIVE", operation.name + " reads \"" + role + "\" before anything has written it.");
      touch(id, index);
    }
  for (const auto &[role, ids] : operation.outputs)
    for (TensorId id : ids) touch(id, index);
  operations_.push_back(std::move(operation));
}

void Program::touch(TensorId id, int operation) {
  Slot &used = slot(id);
  if (used.first < 0) used.first = operation;
  used.last = operation;
}

std::vector<Program::Reader> Program::readers(TensorId id) const {
  std::vector<Reader> found;
  for (const Operation &operation : operations_)
    for (const auto &[role, ids] : operation.inputs)
      for (TensorId input : ids)
        if (input == id) found.push_back({&operation, role});
  return found;
}

void Program::keepAsLongAs(TensorId id, TensorId other) {
  Slot &kept = slot(id);
  kept.last = std::max(kept.last, slot(other).last);
}

Plan Program::compile(bool allocate) {
  if (compiler_) throw Error("NATIVE", "The program is compiled already.");
  compiler_ = engine_->compiler(*this);
  Plan plan;
  for (compiling_ = 0; compiling_ < int(operations_.size()); ++compiling_) {
    kernels_.push_back(compiler_->compile(operations_[compiling_]));
    Cost cost = costOf(operations_[compiling_], *this);
    plan.items.push_back(
        {operations_[compiling_].name, kernels_.back()->detail(), cost.shapes, cost.flops, cost.bytes});
    plan.reorders += kernels_.back()->reorders();
  }
  placeActivations(plan, allocate);
  for (const Slot &slot : slots_)
    if (slot.tensor) plan.persistentBytes += slot.bytes;
  return plan;
}

void Program::placeActivations(Plan &plan, bool allocate) {
  std::vector<Lifetime> lifetimes;
  std::vector<size_t> owners;
  for (size_t id = 0; id < slots_.size(); ++id) {
    const Slot &slot = slots_[id];
    if (slot.tensor || slot.first < 0 || slot.bytes == 0) continue;
    lifetimes.push_back({slot.bytes, slot.first, slot.last});
    owners.push_back(id);
  }
  Placement placement = place(lifetimes);
  plan.arenaBytes = placement.total;
  if (!allocate) return;
  if (size_t guard = engine_->guardBytes(); guard > 0) {
    for (Lifetime &lifetime : lifetimes) lifetime.bytes += guard;
    placement = place(lifetimes);
  }
  arena_ = engine_->allocate(placement.total, "the activations of a step");
  for (size_t i = 0; i < owners.size(); ++i)
    slots_[owners[i]].data = static_cast<char *>(arena_->data()) + placement.offsets[i];
}

std::vector<Program::Resident> Program::residents() const {
  std::vector<Resident> all;
  for (const Slot &slot : slots_)
    if (!slot.tensor && slot.data != nullptr) all.push_back({slot.data, slot.bytes, slot.first, slot.last});
  return all;
}

void Program::run(const std::atomic<bool> &abort, std::vector<double> *seconds) {
  if (!compiler_ || !arena_) throw Error("NATIVE", "A program is compiled before it is run, and not only planned.");
  if (seconds) seconds->resize(kernels_.size());
  compiler_->run(kernels_, abort, seconds);
}

void Compiler::run(const std::vector<std::unique_ptr<Kernel>> &kernels, const std::atomic<bool> &abort,
                   std::vector<double> *seconds) {
  for (size_t i = 0; i < kernels.size(); ++i) {
    throwIfAborted(abort);
    auto start = std::chrono::steady_clock::now();
    kernels[i]->run();
    if (seconds) (*seconds)[i] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
}

void throwIfAborted(const std::atomic<bool> &abort) {
  if (abort.load(std::memory_order_relaxed)) throw Error("ABORTED", "The run was stopped.");
}

}  // namespace semgen
