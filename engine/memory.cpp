#include "engine/memory.h"

#include <sstream>

#include "engine/error.h"

namespace semgen {

void outOfMemory(size_t bytes, const char *purpose, size_t available) {
  std::ostringstream message;
  message << "Out of memory: " << (bytes >> 20) << " MiB were needed for " << purpose;
  if (available) message << ", and " << (available >> 20) << " MiB are free";
  message << ". A smaller --batch, --patch or --base-width would fit.";
  throw Error("OUT_OF_MEMORY", message.str());
}

}  // namespace semgen
