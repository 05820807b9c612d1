#include "models/checkpoint/json_walk.h"

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace fathom {

namespace {
// The callbacks that nlohmann::json's SAX parser asks for; the parser itself does not recurse.
class Walker : public nlohmann::json_sax<nlohmann::json> {
 public:
  Walker(const std::string& where, int max_depth,
         const std::function<void(const JsonPath&, const JsonEvent&)>& f)
      : where_(where), max_depth_(max_depth), f_(f) {}

  bool null() override { return value({.kind = JsonEvent::Kind::null}); }
  bool boolean(bool v) override { return value({.kind = JsonEvent::Kind::boolean, .integer = v}); }
  bool number_integer(int64_t v) override {
    return value({.kind = JsonEvent::Kind::integer, .integer = uint64_t(v)});
  }
  bool number_unsigned(uint64_t v) override {
    return value({.kind = JsonEvent::Kind::unsigned_integer, .integer = v});
  }
  bool number_float(double v, const std::string&) override {
    return value({.kind = JsonEvent::Kind::real, .real = v});
  }
  bool string(std::string& v) override { return value({.kind = JsonEvent::Kind::text, .text = v}); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(size_t) override {
    open({.kind = JsonEvent::Kind::object});
    path_.emplace_back();
    return true;
  }
  bool key(std::string& v) override {
    path_.back() = v;
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(size_t) override {
    check(!path_.empty(), where_, ": the JSON text is not an object");
    open({.kind = JsonEvent::Kind::array});
    path_.emplace_back();
    return true;
  }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    fail(where_, ": not valid JSON near byte ", position, ": ", error.what());
  }

 private:
  bool value(const JsonEvent& event) {
    check(!path_.empty(), where_, ": the JSON text is not an object");
    f_(path_, event);
    return true;
  }
  void open(const JsonEvent& event) {
    check(int(path_.size()) < max_depth_, where_, ": JSON nested deeper than ", max_depth_);
    if (!path_.empty()) f_(path_, event);
  }
  bool close() {
    path_.pop_back();
    return true;
  }

  const std::string& where_;
  const int max_depth_;
  const std::function<void(const JsonPath&, const JsonEvent&)>& f_;
  JsonPath path_;
};
}  // namespace

void walk_json(std::string_view text, const std::string& where, int max_depth,
               const std::function<void(const JsonPath&, const JsonEvent&)>& f) {
  Walker walker(where, max_depth, f);
  check(nlohmann::json::sax_parse(text.begin(), text.end(), &walker), where, ": not valid JSON");
}

}  // namespace fathom
