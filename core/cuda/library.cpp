#include "core/cuda/library.h"

#include <dlfcn.h>

#include "core/error.h"

namespace fathom::cuda {

Library::Library(std::string title, const std::vector<std::string>& files)
    : title_(std::move(title)) {
  for (const std::string& file : files) {
    handle_ = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
#ifdef FATHOM_CUDA_LIBRARIES
    if (!handle_)
      handle_ = ::dlopen((FATHOM_CUDA_LIBRARIES "/" + file).c_str(), RTLD_NOW | RTLD_LOCAL);
#endif
    if (handle_) return;
    const char* why = ::dlerror();
    if (reason_.empty())
      reason_ = title_ + " is not available: " + (why ? why : file) +
                "; install it, or name its folder in LD_LIBRARY_PATH";
  }
}

void* Library::address(const char* name) const {
  check(handle_ != nullptr, reason_);
  void* const found = ::dlsym(handle_, name);
  check(found != nullptr, title_, " lacks ", name, "; is it of another version?");
  return found;
}

}  // namespace fathom::cuda
