#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/float_map.h"

namespace fathom {

/// Reads one array of NumPy's .npz, a zip of .npy files, stored or deflated, as read_npy would.
/// key: the array's name; empty for the only one, or for "depth" among several.
/// Throws  Error naming the file: no such array (all are listed), damage, a wrong checksum,
///         more than max_values.
FloatMap read_npz(std::span<const std::byte> file, std::string_view name, std::string_view key,
                  int64_t max_values);

}  // namespace fathom
