#include "core/cgroup.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace fathom {

using std::filesystem::path;

// The quota of one cgroup folder in CPUs, or 0 when it has none.
static double quota_of(const path& folder) {
  std::ifstream v2(folder / "cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period)
    return quota == "max" || period <= 0 ? 0 : std::atof(quota.c_str()) / period;
  std::ifstream v1(folder / "cpu.cfs_quota_us"), v1_period(folder / "cpu.cfs_period_us");
  double limit = 0;
  if (v1 >> limit && v1_period >> period && limit > 0 && period > 0) return limit / period;
  return 0;
}

// Version 2 writes "max" for no limit, version 1 a number near 2^63.
static int64_t memory_of(const path& folder) {
  for (const char* name : {"memory.max", "memory.limit_in_bytes"}) {
    std::ifstream file(folder / name);
    int64_t bytes = 0;
    if (file >> bytes && bytes > 0 && bytes < (int64_t(1) << 60)) return bytes;
  }
  return 0;
}

// Whether a comma-separated list of controllers holds a name; version 2 leaves the list empty.
static bool controls(const std::string& controllers, const std::string& name) {
  return controllers.empty() ||
         ("," + controllers + ",").find("," + name + ",") != std::string::npos;
}

static void tighten(auto& limit, auto found) {
  if (found > 0) limit = limit > 0 ? std::min(limit, found) : found;
}

CgroupLimits cgroup_limits(const path& root) {
  CgroupLimits limits;
  const path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // hierarchy:controllers:path
    const size_t first = line.find(':');
    if (first == std::string::npos) continue;
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    for (path group = path(line.substr(second + 1)).relative_path();; group = group.parent_path()) {
      if (controls(controllers, "cpu"))
        tighten(limits.cpus, quota_of((v2 ? mounts : mounts / "cpu") / group));
      if (controls(controllers, "memory"))
        tighten(limits.memory_bytes, memory_of((v2 ? mounts : mounts / "memory") / group));
      if (group.empty()) break;
    }
  }
  return limits;
}

}  // namespace fathom
