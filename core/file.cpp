#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace fathom {

static std::string reason() { return std::strerror(errno); }

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  // Without O_NONBLOCK a pipe would be waited for; regular files do not care.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check(descriptor >= 0, path.string(), ": cannot open: ", reason());
  struct stat info {};
  const bool known = ::fstat(descriptor, &info) == 0;
  const bool regular = known && S_ISREG(info.st_mode);
  void* data = nullptr;
  if (regular && info.st_size > 0)
    data = ::mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  const std::string why = reason();
  ::close(descriptor);
  check(regular, path.string(), ": not a regular file");
  check(data != MAP_FAILED, path.string(), ": cannot map ", info.st_size, " bytes: ", why);
  bytes_ = {static_cast<const std::byte*>(data), size_t(info.st_size)};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::drop(std::span<const std::byte> part) const {
  const auto page = uintptr_t(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

// Names of temporary files being written, in fixed slots so that a signal handler can read them.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<bool> live{false};
  char path[4096];
};
static Slot slots[64];

// Returns the slot, or -1 when all are taken.
static int remember(const std::string& path) {
  for (int i = 0; i < int(std::size(slots)); ++i) {
    Slot& slot = slots[i];
    if (path.size() >= sizeof slot.path || slot.taken.exchange(true)) continue;
    std::memcpy(slot.path, path.c_str(), path.size() + 1);
    slot.live = true;
    return i;
  }
  return -1;
}

static void forget(int slot) {
  if (slot < 0) return;
  slots[slot].live = false;
  slots[slot].taken = false;
}

void remove_unfinished_files() noexcept {
  for (Slot& slot : slots)
    if (slot.live) ::unlink(slot.path);
}

AtomicFile::AtomicFile(const std::filesystem::path& target) : target_(target) {
  std::error_code ignored;
  const auto kind = std::filesystem::status(target, ignored).type();
  check(!std::filesystem::exists(std::filesystem::file_status(kind)) ||
            kind == std::filesystem::file_type::regular,
        target.string(), ": cannot write: not a regular file");
  // A killed process with our number may have left a file of the same name: take the next one.
  static std::atomic<unsigned> counter{0};
  do {
    forget(slot_);
    temporary_ = target;
    temporary_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
    slot_ = remember(temporary_.string());
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    const std::string why = reason();
    forget(slot_);
    fail(target_.string(), ": cannot write: ", why);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
  forget(slot_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    check(written > 0, target_.string(), ": cannot write: ", reason());
    bytes = bytes.subspan(size_t(written));
  }
}

void AtomicFile::commit() {
  check(::fsync(descriptor_) == 0, target_.string(), ": cannot sync to disk: ", reason());
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  const bool renamed = closed == 0 && ::rename(temporary_.c_str(), target_.c_str()) == 0;
  const std::string why = reason();
  if (!renamed) ::unlink(temporary_.c_str());
  forget(slot_);
  check(renamed, target_.string(), ": cannot replace: ", why);
  // The rename itself must survive a crash: sync the folder. Some file systems refuse; then the
  // data is still safe and only the name may be the old one.
  const std::filesystem::path folder =
      target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::string read_text(const std::filesystem::path& path, int64_t limit_bytes) {
  const MappedFile file(path);
  check(int64_t(file.bytes().size()) <= limit_bytes, path.string(), ": ", file.bytes().size(),
        " bytes, expected a text file of at most ", limit_bytes);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace fathom
