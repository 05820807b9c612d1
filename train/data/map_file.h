#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "core/float_map.h"
#include "core/image.h"

namespace fathom {

/// Reads one map of numbers as stored, the format recognised by content: PNG of 8 or 16 bits, PGM,
/// JPEG and BMP (grey, or colour with equal channels), PFM, NPY, NPZ, Sintel's .dpt, OpenEXR, HDF5.
///
/// key: which array of an NPZ, channel of an EXR or data set of an HDF5 file; empty for the only
/// one, or for the usual names that the readers of those formats state.
/// Throws  Error naming the file: damage, an unknown format, a library that this build lacks.
FloatMap read_map(std::span<const std::byte> file, std::string_view name, std::string_view key = {},
                  const ImageOptions& options = {});

}  // namespace fathom
