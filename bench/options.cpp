#include "bench/options.h"

#include <algorithm>
#include <ctime>
#include <fstream>

#include "bench/plan.h"

namespace fathom::bench {

ModelSize model_named(const std::string& name) {
  for (const ModelSize size : {ModelSize::S, ModelSize::B, ModelSize::L, ModelSize::g})
    if (name == letter_of(size) || name == std::string(1, char(std::tolower(letter_of(size)[0]))))
      return size;
  fail("--model ", name, ": expected s, b, l or g");
}

// "518x686": height and width in pixels.
ImageSize image_named(const std::string& text) {
  const size_t cross = text.find('x');
  const std::string height = text.substr(0, cross);
  const std::string width = cross == std::string::npos ? "" : text.substr(cross + 1);
  const auto number = [&](const std::string& digits) -> int64_t {
    const bool good = !digits.empty() && digits.size() < 6 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
    return good ? std::stol(digits) : 0;
  };
  const ImageSize size{number(height), number(width)};
  check(size.height >= 14 && size.width >= 14 && size.height % 14 == 0 && size.width % 14 == 0,
        "--size ", text, ": expected height x width in pixels, multiples of 14, such as 518x686");
  return size;
}

DType dtype_named(const std::string& name) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    if (name_of(dtype) == name) return dtype;
  fail("--dtype ", name, ": expected f32, bf16 or f16");
}

std::string command_line() {
  std::ifstream file("/proc/self/cmdline");  // a file without a size, so it cannot be mapped
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::replace(text.begin(), text.end(), '\0', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return "fathom" + text.substr(std::min(text.find(' '), text.size()));
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts;
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace fathom::bench
