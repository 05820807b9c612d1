#include "models/checkpoint/config_json.h"

#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "models/checkpoint/json_walk.h"

namespace fathom {

static std::string printed(const JsonEvent& event) {
  std::ostringstream out;
  out.precision(17);
  switch (event.kind) {
    case JsonEvent::Kind::null: out << "null"; break;
    case JsonEvent::Kind::boolean: out << (event.integer ? "true" : "false"); break;
    case JsonEvent::Kind::unsigned_integer: out << event.integer; break;
    case JsonEvent::Kind::integer: out << int64_t(event.integer); break;
    case JsonEvent::Kind::real: out << event.real; break;
    case JsonEvent::Kind::text: out << event.text; break;
    case JsonEvent::Kind::object:
    case JsonEvent::Kind::array: break;
  }
  return out.str();
}

void read_config_json(const std::filesystem::path& path,
                      std::map<std::string, std::string>& metadata) {
  walk_json(read_text(path, 1 << 20), path.string(), 8,
            [&](const JsonPath& at, const JsonEvent& event) {
              if (event.kind == JsonEvent::Kind::object || event.kind == JsonEvent::Kind::array)
                return;
              std::string name = "config";
              bool element = false;
              for (const std::string& key : at) {
                element = key.empty();
                if (!element) name += "." + key;
              }
              std::string& value = metadata[name];
              if (element && !value.empty()) value += ",";
              value = element ? value + printed(event) : printed(event);
            });
}

}  // namespace fathom
