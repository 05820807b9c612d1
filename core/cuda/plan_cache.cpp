#include "core/cuda/plan_cache.h"

#include <sstream>

#include "core/cuda.h"
#include "core/error.h"
#include "core/file.h"

namespace fathom::cuda {
namespace {

constexpr std::string_view kHeader = "fathom plans 1";

std::mutex g_folder_mutex;
std::filesystem::path& folder() {
  static auto* const path = new std::filesystem::path;
  return *path;
}

std::string to_hex(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char c : bytes) {
    hex += kDigits[c >> 4];
    hex += kDigits[c & 15];
  }
  return hex;
}

std::optional<std::string> from_hex(std::string_view hex) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (hex.empty() || hex.size() % 2 != 0) return {};
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit(hex[i]), low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return {};
    bytes += char(high * 16 + low);
  }
  return bytes;
}

}  // namespace

void PlanCache::set_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!path.empty()) std::filesystem::create_directories(path, ignored);
  const std::lock_guard lock(g_folder_mutex);
  folder() = path;
}

// Reads the file of the folder in use, once for every folder.
void PlanCache::read() {
  std::filesystem::path file;
  {
    const std::lock_guard lock(g_folder_mutex);
    if (!folder().empty()) file = folder() / (name_ + ".txt");
  }
  if (file == file_) return;
  file_ = file;
  std::error_code ignored;
  if (file.empty() || !std::filesystem::is_regular_file(file, ignored)) return;
  try {
    std::istringstream lines(read_text(file));
    std::string line;
    if (!std::getline(lines, line) || line != kHeader) return;
    while (std::getline(lines, line)) {
      const size_t tab = line.rfind('\t');
      if (tab == std::string::npos) continue;
      if (const auto bytes = from_hex(std::string_view(line).substr(tab + 1)))
        plans_.emplace(line.substr(0, tab), *bytes);
    }
  } catch (const Error&) {  // unreadable: as if it were not there
  }
}

void PlanCache::write() const {
  if (file_.empty()) return;
  try {
    AtomicFile file(file_);
    file.write(std::string(kHeader) + "\n");
    for (const auto& [key, bytes] : plans_) file.write(key + "\t" + to_hex(bytes) + "\n");
    file.commit();
  } catch (const Error&) {  // a full disk, a folder that is not ours
  }
}

std::optional<std::string> PlanCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  read();
  const auto it = plans_.find(key);
  if (it == plans_.end()) return {};
  return it->second;
}

void PlanCache::insert(const std::string& key, const std::string& bytes) {
  check(
      key.find('\n') == std::string::npos && key.find('\t') == std::string::npos && !bytes.empty(),
      "plan cache: a key is one line without tabs, a plan has bytes");
  const std::lock_guard lock(mutex_);
  read();
  plans_[key] = bytes;
  write();
}

}  // namespace fathom::cuda

void fathom::cuda_keep_plans(const std::filesystem::path& folder) {
  cuda::PlanCache::set_folder(folder);
}
