#include "core/version.h"

namespace fathom {

std::string version() { return FATHOM_VERSION; }
std::string revision() { return FATHOM_REVISION; }

std::string build_summary() {
  std::string text;
  text += "compiler: " + std::string(__VERSION__) + "\n";
#ifdef FATHOM_JPEG
  text += "jpeg: libjpeg-turbo\n";
#else
  text += "jpeg: none\n";
#endif
#ifdef FATHOM_PNG
  text += "png: libpng\n";
#else
  text += "png: read only\n";
#endif
#ifdef FATHOM_ZLIB
  text += "zlib: yes\n";
#else
  text += "zlib: none\n";
#endif
#ifdef FATHOM_DEFLATE
  text += "deflate: libdeflate\n";
#else
  text += "deflate: none\n";
#endif
#ifdef FATHOM_EXR
  text += "exr: OpenEXRCore\n";
#else
  text += "exr: none\n";
#endif
#ifdef FATHOM_HDF5
  text += "hdf5: libhdf5\n";
#else
  text += "hdf5: none\n";
#endif
  text += "cpu: " FATHOM_ISAS "\n";
  text += "cuda: " FATHOM_CUDA_STATE "\n";
#ifdef FATHOM_SANITIZE
  text += "sanitizers: address, undefined behaviour\n";
#else
  text += "sanitizers: none\n";
#endif
  return text;
}

}  // namespace fathom
