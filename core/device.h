#pragma once

#include <cstdint>
#include <ostream>

namespace fathom {

/// Where bytes live. index counts CUDA devices; it is 0 on the CPU.
struct Device {
  enum class Type : uint8_t { cpu, cuda };
  Type type = Type::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

inline constexpr Device kCpu{Device::Type::cpu, 0};

inline std::ostream& operator<<(std::ostream& out, Device device) {
  if (device.type == Device::Type::cpu) return out << "cpu";
  return out << "cuda:" << device.index;
}

}  // namespace fathom
