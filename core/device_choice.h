#pragma once

#include <string>

#include "core/device.h"

namespace fathom {

/// Why a word names no device; empty for auto, cpu, cuda and cuda:N. Whether the device is there is
/// another question.
std::string device_problem(const std::string& name);

/// The device of a word: "auto" is the first GPU where there is one, otherwise the CPU; "cuda" the
/// first GPU. Throws Error where this machine has none such: why, and what to do instead.
Device choose_device(const std::string& name);

}  // namespace fathom
