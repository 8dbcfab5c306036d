// What native code throws. It never aborts the process: the binding turns this into a JavaScript error with a code.
#pragma once
#include <stdexcept>
#include <string>

namespace semgen {

class Error : public std::runtime_error {
 public:
  /// `code` is one of src/errors.ts's ErrorCode; `message` one sentence: what was expected, what came, what to do.
  Error(const char *code, const std::string &message) : std::runtime_error(message), code_(code) {}
  const char *code() const { return code_; }

 private:
  const char *code_;
};

}  // namespace semgen
