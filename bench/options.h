#pragma once

#include <string>

#include "core/dtype.h"
#include "core/image.h"
#include "models/depth_anything.h"

namespace fathom::bench {

// What is written on a command line, each in one way. They throw Error with the option's name.

/// "s", "B": a model's size.
ModelSize model_named(const std::string& name);
/// "518x686": height and width in pixels, multiples of the patch.
ImageSize image_named(const std::string& text);
/// "f32", "bf16" or "f16".
DType dtype_named(const std::string& name);

/// What was typed, for a report, and when.
std::string command_line();
std::string utc_now();

}  // namespace fathom::bench
