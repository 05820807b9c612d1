#include "core/version.h"

namespace fathom {

std::string version() { return FATHOM_VERSION; }
std::string revision() { return FATHOM_REVISION; }

std::string build_summary() {
  std::string text;
  text += "compiler: " + std::string(__VERSION__) + "\n";
  text += "jpeg: libjpeg-turbo\n";
#ifdef FATHOM_CUDA
  text += "cuda: compiled for " FATHOM_CUDA_ARCHS "\n";
#else
  text += "cuda: not in this build\n";
#endif
  return text;
}

}  // namespace fathom
