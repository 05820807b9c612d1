#include "bench/cuda/nvml.h"

#include "core/cuda/library.h"
#include "core/error.h"

namespace fathom::bench {

NvmlState nvml_state(const std::string& pci_bus_id) {
  const cuda::Library library("NVML", {"libnvidia-ml.so.1"});
  if (!library.available()) return {};
  NvmlState state;
  // From nvml.h: every function returns 0 when it worked; a device is a pointer; clocks are in MHz.
  enum { kClockSm = 1, kClockMemory = 2 };
  try {
    if (library.function<int()>("nvmlInit_v2")() != 0) return {};
    char text[96] = "";
    if (library.function<int(char*, unsigned)>("nvmlSystemGetDriverVersion")(text, sizeof text) ==
        0)
      state.driver = text;
    void* device = nullptr;
    if (library.function<int(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2")(
            pci_bus_id.c_str(), &device) != 0)
      return state;
    const auto clock = library.function<int(void*, int, unsigned*)>("nvmlDeviceGetClockInfo");
    unsigned mhz = 0;
    if (clock(device, kClockSm, &mhz) == 0) state.clock_mhz = mhz;
    if (clock(device, kClockMemory, &mhz) == 0) state.memory_clock_mhz = mhz;
  } catch (const Error&) {  // of another version: what it told so far
  }
  return state;
}

}  // namespace fathom::bench
