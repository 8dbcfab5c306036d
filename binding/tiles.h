// Tables of tile shapes as JavaScript hands them over.
#pragma once
#include <napi.h>

#include "engine/tiles.h"

namespace semgen::binding {

/// From an object of choices {way, columns, splits} by key; undefined: none.
TileTable tilesFrom(const Napi::Value &value);

}  // namespace semgen::binding
