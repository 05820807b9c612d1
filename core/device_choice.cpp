#include "core/device_choice.h"

#include "core/cuda.h"
#include "core/error.h"

namespace fathom {

std::string device_problem(const std::string& name) {
  const bool numbered = name.starts_with("cuda:") && name.size() > 5 && name.size() < 9 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name == "auto" || name == "cpu" || name == "cuda" || numbered) return "";
  return name + ": expected auto, cpu, cuda or cuda:N";
}

Device choose_device(const std::string& name) {
  check(device_problem(name).empty(), "--device ", device_problem(name));
  if (name == "cpu") return kCpu;
  const std::string reason = cuda_unavailable_reason();
  if (name == "auto" && !reason.empty()) return kCpu;
  check(reason.empty(), "--device ", name, ": ", reason, "; use --device cpu");
  const int index = name.starts_with("cuda:") ? std::stoi(name.substr(5)) : 0;
  const int count = int(cuda_devices().size());
  check(index < count, "--device ", name, ": this machine has ", count,
        count == 1 ? " GPU, cuda:0" : " GPUs, numbered from cuda:0", "; use --device cpu");
  return {Device::Type::cuda, index};
}

}  // namespace fathom
