#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/float_map.h"

namespace fathom {

/// Also behind a user block, as MATLAB writes it.
bool is_hdf5(std::span<const std::byte> file);

/// Reads one data set of two axes (others of extent 1 are dropped) as float through libhdf5: any
/// number type, layout and filter that the library knows. Calls take turns, as the library needs.
/// libhdf5 is not made for hostile files: read those that you trust.
///
/// key: the path of the data set; empty for the first there is of /depth (MegaDepth) and /dataset
/// (Hypersim).
/// Throws  Error naming the file: damage, no such data set, more than max_values, a build without
///         the library.
FloatMap read_hdf5(std::span<const std::byte> file, std::string_view name, std::string_view key,
                   int64_t max_values);

}  // namespace fathom
