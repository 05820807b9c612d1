#include "train/log/json_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"

namespace fathom {

using Json = nlohmann::ordered_json;

static std::string line_of(int64_t step, double time_s, const LogValues& values) {
  Json json{{"step", step}, {"time_s", time_s}};
  for (const auto& [name, value] : values) json[name] = value;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

JsonLog::JsonLog(std::filesystem::path path, int64_t last_step) : path_(std::move(path)) {
  if (std::filesystem::exists(path_)) {
    std::string kept;
    for (const LogLine& line : read_json_log(path_))
      if (line.step <= last_step) kept += line_of(line.step, line.time_s, line.values);
    write_text(path_, kept);
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  check(descriptor_ >= 0, path_.string(), ": cannot write: ", std::strerror(errno));
}

JsonLog::~JsonLog() { ::close(descriptor_); }

void JsonLog::write(int64_t step, double time_s, const LogValues& values) {
  const std::string line = line_of(step, time_s, values);
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = ::write(descriptor_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    check(written > 0, path_.string(), ": cannot write: ", std::strerror(errno));
    done += size_t(written);
  }
}

std::vector<LogLine> read_json_log(const std::filesystem::path& path) {
  std::vector<LogLine> lines;
  if (!std::filesystem::exists(path)) return lines;
  const std::string text = read_text(path, int64_t(4) << 30);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // cut short when the run was killed
    const Json json =
        Json::parse(text.begin() + int64_t(begin), text.begin() + int64_t(end), nullptr, false);
    const bool whole = json.is_object() && json.contains("step") &&
                       json["step"].is_number_integer() &&
                       (!json.contains("time_s") || json["time_s"].is_number());
    check(whole, path.string(), ": line ", lines.size() + 1, " is not one of a training log");
    LogLine line{json["step"].get<int64_t>(), json.value("time_s", 0.0), {}};
    for (const auto& [name, value] : json.items())
      if (value.is_number() && name != "step" && name != "time_s")
        line.values.emplace_back(name, value.get<double>());
    lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

}  // namespace fathom
