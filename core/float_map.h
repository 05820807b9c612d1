#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/error.h"

namespace fathom {

/// One float a pixel, row-major [height, width], owned by somebody else.
struct MapView {
  int64_t height = 0, width = 0;
  std::span<const float> values;
};

/// One float a pixel, row-major [height, width].
struct FloatMap {
  int64_t height = 0, width = 0;
  std::vector<float> values;
  operator MapView() const { return {height, width, values}; }
};

/// Throws Error unless the map has at least one pixel and as many values as pixels.
inline void check_map(const char* function, const MapView& map) {
  check(map.height > 0 && map.width > 0 && int64_t(map.values.size()) == map.height * map.width,
        function, ": a map of ", map.height, " x ", map.width, " needs as many values, but has ",
        map.values.size());
}

}  // namespace fathom
