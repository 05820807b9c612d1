#pragma once

#include <concepts>
#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fathom {

/// The one exception of the engine. what() is a sentence for the person at the terminal: the
/// function or file, what must hold, the values seen, what to do. where() is for the developer.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message,
                 std::source_location where = std::source_location::current())
      : std::runtime_error(message), where_(where) {}
  const std::source_location& where() const { return where_; }

 private:
  std::source_location where_;
};

/// A bool that remembers the line it was tested on.
struct Condition {
  bool holds;
  std::source_location where;
  Condition(bool holds, std::source_location where = std::source_location::current())
      : holds(holds), where(where) {}
};

[[noreturn]] inline void fail_at(std::source_location where, const auto&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str(), where);
}

/// Throws Error with the parts printed in order unless the condition holds.
inline void check(Condition condition, const auto&... parts) {
  if (!condition.holds) [[unlikely]]
    fail_at(condition.where, parts...);
}

/// The first words of a message, with the line they stand on.
struct Opening {
  std::string_view text;
  std::source_location where;
  template <std::convertible_to<std::string_view> Text>
  Opening(const Text& text, std::source_location where = std::source_location::current())
      : text(text), where(where) {}
  Opening(std::string_view text, std::source_location where = std::source_location::current())
      : text(text), where(where) {}
};

/// Throws Error with the parts printed in order.
[[noreturn]] inline void fail(Opening first, const auto&... rest) {
  fail_at(first.where, first.text, rest...);
}

}  // namespace fathom
