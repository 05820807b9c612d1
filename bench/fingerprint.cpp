#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "bench/report.h"
#include "core/parallel.h"
#include "core/version.h"
#include "kernels/cpu/isa.h"
#ifdef FATHOM_JPEG
#include <cstdio>
// jpeglib.h needs FILE first
#include <jpeglib.h>
#endif
#ifdef FATHOM_PNG
#include <png.h>
#endif

namespace fathom::bench {
namespace {

// The first line of a file of the system; empty where there is none.
std::string line_of(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The value of a "name : value" line of /proc/cpuinfo.
std::string cpuinfo(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const size_t colon = line.find(':');
    if (colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
  }
  return "";
}

std::string cpu_name() {
  std::string name = cpuinfo("model name");
  const std::string family = cpuinfo("cpu family"), model = cpuinfo("model\t");
  if (name.empty()) name = "unknown";
  if (!family.empty()) name += ", family " + family + " model " + model;  // names can be coarse
  return name;
}

// The extensions that kernels are chosen by, and whether the machine is a virtual one.
std::string chosen_flags() {
  std::istringstream all(cpuinfo("flags"));
  std::string chosen;
  for (std::string flag; all >> flag;) {
    const bool matters = flag.starts_with("avx") || flag.starts_with("amx") || flag == "fma" ||
                         flag == "f16c" || flag == "bmi2" || flag == "hypervisor";
    if (matters) chosen += (chosen.empty() ? "" : " ") + flag;
  }
  return chosen;
}

std::map<std::string, std::string> libraries() {
  std::map<std::string, std::string> versions;
  versions["libc"] = std::string("glibc ") + gnu_get_libc_version();
  versions["libstdc++"] = std::to_string(__GLIBCXX__);
  versions["nlohmann-json"] = std::to_string(NLOHMANN_JSON_VERSION_MAJOR) + "." +
                              std::to_string(NLOHMANN_JSON_VERSION_MINOR) + "." +
                              std::to_string(NLOHMANN_JSON_VERSION_PATCH);
#ifdef FATHOM_JPEG
#ifdef LIBJPEG_TURBO_VERSION_NUMBER
  const int jpeg = LIBJPEG_TURBO_VERSION_NUMBER;  // 2001005 is 2.1.5
  versions["libjpeg"] = "turbo " + std::to_string(jpeg / 1000000) + "." +
                        std::to_string(jpeg / 1000 % 1000) + "." + std::to_string(jpeg % 1000);
#else
  versions["libjpeg"] = std::to_string(JPEG_LIB_VERSION);
#endif
#endif
#ifdef FATHOM_PNG
  versions["libpng"] = PNG_LIBPNG_VER_STRING;
#endif
  return versions;
}

}  // namespace

Fingerprint fingerprint() {
  Fingerprint machine;
  machine.cpu = cpu_name();
  machine.flags = chosen_flags();
  machine.isa = std::string(cpu::name_of(cpu::isa()));
  machine.governor = line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  machine.clock_mhz = std::atof(cpuinfo("cpu MHz").c_str());
  machine.load = std::atof(line_of("/proc/loadavg").c_str());
  utsname system;
  if (::uname(&system) == 0)
    machine.kernel = std::string(system.sysname) + " " + system.release + " " + system.machine;
  machine.cores = available_cpus();
  machine.threads = thread_count();
  machine.memory_bytes = int64_t(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  machine.last_level_cache_bytes = std::max<int64_t>(0, ::sysconf(_SC_LEVEL3_CACHE_SIZE));
  machine.version = version();
  machine.revision = revision();
  machine.build = build_summary();
  machine.libraries = libraries();
  return machine;
}

}  // namespace fathom::bench
