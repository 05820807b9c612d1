// What kernels for sm_90a may use besides gpu.h: mbarrier, the tensor copy engine and wgmma.
#pragma once

#include "core/gpu.h"

#if defined(__CUDACC__)
#include "core/gpu/hopper_device.h"
#else
#include "core/gpu/hopper_host.h"
#endif
