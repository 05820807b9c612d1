#include "core/cuda.h"

#include "tests/testing.h"

namespace fathom {

// Also run by binaries with CUDA on machines without a GPU or a driver: that this program starts
// there is half of the test.
TEST_CASE("cuda: devices, or the reason why there is none") {
  const std::vector<CudaDevice> devices = cuda_devices();
  const std::string reason = cuda_unavailable_reason();
  INFO(reason);
  CHECK(devices.empty() == !reason.empty());
#ifdef FATHOM_CUDA
  if (devices.empty())
    CHECK((reason == "no NVIDIA driver" || reason == "no device" ||
           reason.find("driver too old: it supports CUDA ") == 0));
  if (!std::filesystem::exists("/proc/driver/nvidia/version") &&
      !std::filesystem::exists("/dev/dxg"))
    CHECK(reason == "no NVIDIA driver");
#else
  CHECK(reason == "built without CUDA");
#endif
  for (const CudaDevice& device : devices) {
    CHECK_FALSE(device.name.empty());
    CHECK(device.compute_major >= 5);
    CHECK(device.memory_bytes > 0);
  }
}

}  // namespace fathom
