#include "core/cuda.h"

namespace fathom {

#ifndef FATHOM_CUDA  // otherwise core/cuda/driver.cpp knows

std::vector<CudaDevice> cuda_devices() { return {}; }
std::string cuda_unavailable_reason() { return "built without CUDA"; }

#endif

}  // namespace fathom
