// One recorded operation: a name of ops.h, tensors by role, and attributes.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "engine/error.h"

namespace semgen {

/// A tensor within one program. Activations, persistent tensors and engine scratch share the numbering.
using TensorId = int;

using Attribute = std::variant<double, bool, std::string, std::vector<double>>;

struct Operation {
  std::string name;
  std::map<std::string, std::vector<TensorId>> inputs, outputs;  // by role; most roles hold one tensor
  std::map<std::string, Attribute> attributes;

  bool has(const std::string &role) const { return inputs.count(role) || outputs.count(role); }
  const std::vector<TensorId> &list(const std::string &role) const {
    if (auto it = inputs.find(role); it != inputs.end()) return it->second;
    if (auto it = outputs.find(role); it != outputs.end()) return it->second;
    throw Error("NATIVE", name + " needs the tensor \"" + role + "\".");
  }
  /// The one tensor of a role.
  TensorId at(const std::string &role) const {
    const auto &tensors = list(role);
    if (tensors.size() != 1) throw Error("NATIVE", name + " takes one tensor as \"" + role + "\".");
    return tensors[0];
  }

  double number(const std::string &key) const { return get<double>(key, "a number"); }
  int64_t integer(const std::string &key) const { return int64_t(number(key)); }
  bool flag(const std::string &key) const { return get<bool>(key, "true or false"); }
  const std::string &text(const std::string &key) const { return get<std::string>(key, "a word"); }
  std::vector<int64_t> integers(const std::string &key) const {
    const auto &values = get<std::vector<double>>(key, "a list of numbers");
    return {values.begin(), values.end()};
  }

 private:
  template <class T>
  const T &get(const std::string &key, const char *kind) const {
    auto it = attributes.find(key);
    if (it == attributes.end()) throw Error("NATIVE", name + " needs the attribute \"" + key + "\".");
    if (auto *value = std::get_if<T>(&it->second)) return *value;
    throw Error("NATIVE", name + " takes " + kind + " as \"" + key + "\".");
  }
};

}  // namespace semgen
