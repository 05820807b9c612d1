#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace fathom {

/// Base64 with padding, on one line. Source: RFC 4648, section 4.
std::string base64_of(std::span<const std::byte> bytes);

}  // namespace fathom
