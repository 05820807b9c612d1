#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

/// One event of a JSON text: a scalar, or the opening of an object or array.
struct JsonEvent {
  enum class Kind : uint8_t { null, boolean, unsigned_integer, integer, real, text, object, array };
  Kind kind;
  uint64_t integer = 0;        // of boolean and unsigned_integer; the bits of an integer below 0
  double real = 0;             // of real
  std::string_view text = {};  // of text; valid during the call
};

/// The keys above a value, outermost first; an element of an array adds an empty one.
using JsonPath = std::vector<std::string>;

/// Calls f for every value of a JSON text, in order, without building a tree: memory is the path
/// and the longest string. Throws Error, with `where`, for text that is not JSON, is nested deeper
/// than max_depth, or whose root is not an object. Equal keys of one object are both reported.
void walk_json(std::string_view text, const std::string& where, int max_depth,
               const std::function<void(const JsonPath&, const JsonEvent&)>& f);

}  // namespace fathom
