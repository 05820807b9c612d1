#include "train/data/file_store.h"

#include "core/error.h"
#include "core/file.h"
#include "train/data/tar.h"

namespace fathom {

struct FileStore::Archive {
  Archive(FileBytes file, const std::string& name) : owner(file.owner), index(file.bytes, name) {}
  std::shared_ptr<const void> owner;
  TarIndex index;
};

FileStore::FileStore(std::filesystem::path root) : root_(std::move(root)) {}
FileStore::~FileStore() = default;

FileBytes FileStore::open(std::string_view name) const {
  constexpr std::string_view kTar = ".tar:";
  const size_t split = name.rfind(kTar);
  if (split == name.npos) {
    const auto file = std::make_shared<const MappedFile>(root_ / name);
    return {file->bytes(), file};
  }
  const std::string_view shard = name.substr(0, split + kTar.size() - 1);
  const std::string_view member = name.substr(split + kTar.size());
  const std::shared_ptr<const Archive> found = archive(shard);
  const auto bytes = found->index.find(member);
  check(bytes.has_value(), (root_ / shard).string(), ": no member '", member, "' among its ",
        found->index.size(), " files; names are case-sensitive and relative to the archive");
  return {*bytes, found};
}

std::shared_ptr<const FileStore::Archive> FileStore::archive(std::string_view name) const {
  // Held while an archive is indexed, so that nobody reads its headers a second time; an archive
  // within an archive comes here again.
  const std::lock_guard lock(mutex_);
  const auto known = archives_.find(name);
  if (known != archives_.end()) return known->second;
  const auto fresh = std::make_shared<const Archive>(open(name), (root_ / name).string());
  return archives_.emplace(name, fresh).first->second;
}

}  // namespace fathom
