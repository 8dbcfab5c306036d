#include "engine/ops.h"

#include <algorithm>
#include <sstream>

namespace semgen {

namespace {

struct Role {
  std::string name;
  bool optional, list;
};

std::vector<Role> parseRoles(const char *text) {
  std::vector<Role> roles;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    char mark = word.back();
    if (mark == '?' || mark == '*') word.pop_back();
    roles.push_back({word, mark == '?', mark == '*'});
  }
  return roles;
}

void checkRoles(const Operation &operation, const std::map<std::string, std::vector<TensorId>> &given,
                const char *spec) {
  std::vector<Role> roles = parseRoles(spec);
  for (const auto &[name, ids] : given)
    if (std::none_of(roles.begin(), roles.end(), [&](const Role &role) { return role.name == name; }))
      throw Error("NATIVE", operation.name + " has no tensor \"" + name + "\", only: " + spec + ".");
  for (const Role &role : roles) {
    auto it = given.find(role.name);
    if (it == given.end()) {
      if (role.optional) continue;
      throw Error("NATIVE", operation.name + " needs the tensor \"" + role.name + "\".");
    }
    if (!role.list && it->second.size() != 1)
      throw Error("NATIVE", operation.name + " takes one tensor as \"" + role.name + "\".");
  }
}

}  // namespace

void checkOperation(const Operation &operation) {
  for (const OperationSpec &spec : operationSpecs) {
    if (operation.name != spec.name) continue;
    checkRoles(operation, operation.inputs, spec.inputs);
    checkRoles(operation, operation.outputs, spec.outputs);
    std::vector<Role> keys = parseRoles(spec.attributes);
    for (const Role &key : keys)
      if (!operation.attributes.count(key.name))
        throw Error("NATIVE", operation.name + " needs the attribute \"" + key.name + "\".");
    if (operation.attributes.size() != keys.size())
      throw Error("NATIVE", operation.name + " takes only these attributes: " + spec.attributes + ".");
    return;
  }
  throw Error("NATIVE", "There is no operation \"" + operation.name + "\".");
}

}  // namespace semgen
