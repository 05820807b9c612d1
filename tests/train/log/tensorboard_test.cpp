#include "train/log/tensorboard.h"

#include <cstring>

#include "core/file.h"
#include "tests/scratch.h"
#include "tests/testing.h"
#include "train/log/crc32c.h"

namespace fathom {

template <class T>
static T number_at(const std::string& bytes, size_t at) {
  T value;
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

static uint32_t masked(const std::string& bytes) {
  const uint32_t crc = crc32c_of(std::as_bytes(std::span(bytes)));
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

// The events of a file, each with both of its checksums verified.
static std::vector<std::string> records_of(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto length = number_at<uint64_t>(file, at);
    CHECK(number_at<uint32_t>(file, at + 8) == masked(file.substr(at, 8)));
    records.push_back(file.substr(at + 12, length));
    CHECK(number_at<uint32_t>(file, at + 12 + length) == masked(records.back()));
    at += 16 + length;
  }
  return records;
}

TEST_CASE("tensorboard: records are framed as TensorFlow frames them") {
  // The layout of the messages is checked by TensorBoard itself:
  // tests/reference/tensorboard_log.py.
  const ScratchFolder scratch("tensorboard");
  TensorBoardLog log(scratch.path / "tb", 1);
  log.write(300, {{"train/loss", 0.5}, {"lr", 1e-3}});
  const std::vector<std::string> records = records_of(read_text(log.path()));
  REQUIRE(records.size() == 3);
  CHECK(records[0].substr(11) ==
        "\x1a\x0d"
        "brain.Event:2");
  // After the wall time: step 300 as a varint, and a summary that holds the values.
  const std::string event = records[2].substr(9);
  const std::string half("\x00\x00\x00\x3f", 4);
  CHECK(event.starts_with("\x10\xac\x02\x2a"));
  CHECK_THAT(event, Catch::Contains("\x0a\x0atrain/loss\x15" + half));
}

TEST_CASE("tensorboard: every session has a file, and a later one sorts behind") {
  const ScratchFolder scratch("tensorboard");
  const TensorBoardLog first(scratch.path, 1), second(scratch.path, 51);
  CHECK(first.path() < second.path());
  const std::string start = records_of(read_text(second.path())).at(1);
  CHECK(start.ends_with("\x10\x33\x3a\x02\x08\x01"));  // step 51, session_log { status: START }
}

}  // namespace fathom
