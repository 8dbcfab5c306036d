#include "engine/tensor.h"

namespace semgen {

std::string describe(const Shape &shape) {
  std::string text;
  for (int64_t extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text.empty() ? "a scalar" : text;
}

}  // namespace semgen
