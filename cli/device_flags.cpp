#include "cli/device_flags.h"

#include <cstdlib>
#include <filesystem>

#include "core/cuda.h"

namespace fathom::cli {

void add_device_flag(CLI::App& command, std::string& device, const std::string& otherwise) {
  command.add_option("--device", device, "auto, cpu, cuda or cuda:N (default: " + otherwise + ")")
      ->check(device_problem);
}

void add_dtype_flag(CLI::App& command, std::string& dtype) {
  command
      .add_option("--dtype", dtype,
                  "f32, bf16 or f16 (storage; sums are f32); auto: f32 on the CPU, f16 on CUDA")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
      ->capture_default_str();
}

// Where the user's programs keep what they can find out again; empty if that is not known.
static std::filesystem::path cache_folder() {
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder && *folder)
    return std::filesystem::path(folder) / "fathom";
  if (const char* home = std::getenv("HOME"); home && *home)
    return std::filesystem::path(home) / ".cache" / "fathom";
  return {};
}

Device use_device(const std::string& name) {
  const Device device = choose_device(name);
  if (device != kCpu) cuda_keep_plans(cache_folder());
  return device;
}

}  // namespace fathom::cli
