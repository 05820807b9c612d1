#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fathom {

/// XXH3, 128 bits, of bytes that come in pieces. Detects damage, not malice.
/// Source: Collet, "xxHash", specification of XXH3.
class Hash128 {
 public:
  Hash128();
  ~Hash128();
  Hash128(const Hash128&) = delete;
  Hash128& operator=(const Hash128&) = delete;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  /// Of everything so far, in hexadecimal, as `xxhsum -H128` prints it.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The hash of a whole file. Throws Error when it cannot be read.
std::string hash_of_file(const std::filesystem::path& path);

}  // namespace fathom
