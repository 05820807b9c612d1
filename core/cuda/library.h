#pragma once

#include <string>
#include <vector>

namespace fathom::cuda {

/// A shared library of CUDA, opened when it is first needed: the program starts without it.
class Library {
 public:
  /// title: for messages ("cuBLASLt"); the first of the file names that opens is taken. They are
  /// looked for where the system's loader looks, and in the toolkit that the build used.
  Library(std::string title, const std::vector<std::string>& files);
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  bool available() const { return handle_ != nullptr; }
  /// Why it is not available, in words.
  const std::string& reason() const { return reason_; }

  /// The function of that name; F is its type. Throws Error if the library or the function is
  /// absent.
  template <class F>
  F* function(const char* name) const {
    return reinterpret_cast<F*>(address(name));
  }

 private:
  void* address(const char* name) const;
  std::string title_, reason_;
  void* handle_ = nullptr;  // never closed: its threads and handles live as long as the process
};

}  // namespace fathom::cuda
