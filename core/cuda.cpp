#include "core/cuda.h"

#include "core/error.h"

namespace fathom {

#ifndef FATHOM_CUDA  // otherwise the files of core/cuda/ know

static constexpr const char* kWithout = "built without CUDA";

std::vector<CudaDevice> cuda_devices() { return {}; }
std::string cuda_unavailable_reason() { return kWithout; }
int64_t cuda_free_bytes(int device) { fail("cuda:", device, ": ", kWithout); }
MemoryStatistics cuda_memory_statistics(int device) { fail("cuda:", device, ": ", kWithout); }
void cuda_keep_plans(const std::filesystem::path&) { fail("cuda: ", kWithout); }
void cuda_synchronize(int device) { fail("cuda:", device, ": ", kWithout); }

#endif

}  // namespace fathom
