#include "train/log/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/error.h"
#include "train/log/crc32c.h"

namespace fathom {
namespace {

// Protocol Buffers on the wire: a field is its number and type, then the value.
void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += char(value | 0x80);
  out += char(value);
}

template <class T>
void put_fixed(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof bytes);
  out.append(bytes, sizeof bytes);
}

enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_tag(std::string& out, int field, WireType type) {
  put_varint(out, uint64_t(field) << 3 | type);
}

void put_bytes(std::string& out, int field, const std::string& bytes) {
  put_tag(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

// Event { double wall_time = 1; int64 step = 2; ... }
std::string event_at(int64_t step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  put_tag(event, 1, kFixed64);
  put_fixed(event, std::chrono::duration<double>(now).count());
  put_tag(event, 2, kVarint);
  put_varint(event, uint64_t(step));
  return event;
}

// Summary { repeated Value value = 1; }  Value { string tag = 1; float simple_value = 2; }
std::string summary_of(const LogValues& values) {
  std::string summary;
  for (const auto& [tag, number] : values) {
    std::string value;
    put_bytes(value, 1, tag);
    put_tag(value, 2, kFixed32);
    put_fixed(value, float(number));
    put_bytes(summary, 1, value);
  }
  return summary;
}

// A checksum stored beside its data is rotated, so that data that hold checksums stay unlike them.
uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c_of(std::as_bytes(std::span(bytes))), 15) + 0xa282ead8u;
}

}  // namespace

TensorBoardLog::TensorBoardLog(const std::filesystem::path& folder, int64_t first_step) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, folder.string(), ": cannot create the folder: ", error.message());
  // TensorBoard reads files in the order of their names; sessions within one second differ by N.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  for (int n = 0; descriptor_ < 0; ++n) {
    path_ = folder /
            ("events.out.tfevents." + std::to_string(seconds) + ".fathom." + std::to_string(n));
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    check(descriptor_ >= 0 || errno == EEXIST, path_.string(),
          ": cannot write: ", std::strerror(errno));
  }
  std::string version = event_at(0);
  put_bytes(version, 3, "brain.Event:2");
  write_event(version);
  // SessionLog { SessionStatus status = 1; } with START: what lies at this step or later is void.
  std::string status, start = event_at(first_step);
  put_tag(status, 1, kVarint);
  put_varint(status, 1);
  put_bytes(start, 7, status);
  write_event(start);
}

TensorBoardLog::~TensorBoardLog() { ::close(descriptor_); }

void TensorBoardLog::write(int64_t step, const LogValues& values) {
  std::string event = event_at(step);
  put_bytes(event, 5, summary_of(values));
  write_event(event);
}

// A record: length, its checksum, data, their checksum.
void TensorBoardLog::write_event(const std::string& event) {
  std::string record;
  put_fixed(record, uint64_t(event.size()));
  put_fixed(record, masked_crc(record));
  record += event;
  put_fixed(record, masked_crc(event));
  for (size_t done = 0; done < record.size();) {
    const ssize_t written = ::write(descriptor_, record.data() + done, record.size() - done);
    if (written < 0 && errno == EINTR) continue;
    check(written > 0, path_.string(), ": cannot write: ", std::strerror(errno));
    done += size_t(written);
  }
}

}  // namespace fathom
