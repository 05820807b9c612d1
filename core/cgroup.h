#pragma once

#include <cstdint>
#include <filesystem>

namespace fathom {

/// Limits that the cgroups of this process set (version 1 or 2, a container's for example). Every
/// level of the hierarchy may set one; the tightest holds. `root` stands in for / in tests.
struct CgroupLimits {
  double cpus = 0;           // quota in CPUs; 0 without one
  int64_t memory_bytes = 0;  // 0 without one
};

CgroupLimits cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace fathom
