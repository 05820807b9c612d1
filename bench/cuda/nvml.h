#pragma once

#include <string>

namespace fathom::bench {

/// What NVIDIA's management library says of a device; empty and 0 where it is not there.
struct NvmlState {
  std::string driver;                          // "580.159.04"
  double clock_mhz = 0, memory_clock_mhz = 0;  // now
};

/// pci_bus_id: "0000:19:00.0".
NvmlState nvml_state(const std::string& pci_bus_id);

}  // namespace fathom::bench
