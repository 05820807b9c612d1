#include "core/cuda/plan_cache.h"

#include <unistd.h>

#include <fstream>

#include "core/file.h"
#include "tests/testing.h"

namespace fathom {

namespace {

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("fathom-plans-" + std::to_string(::getpid()));
  ~Folder() {
    cuda::PlanCache::set_folder({});
    std::filesystem::remove_all(path);
  }
};

}  // namespace

TEST_CASE("plan cache: keeps plans in memory, and in a file for the next run") {
  const Folder folder;
  const std::string binary("\0\xff\n\t x", 6);
  {
    cuda::PlanCache cache("products");
    cache.insert("before", "kept in memory");
    CHECK(cache.find("before") == "kept in memory");
    CHECK_FALSE(cache.find("other"));
    cuda::PlanCache::set_folder(folder.path / "made");
    cache.insert("bf16 3x5", binary);
    cache.insert("bf16 3x5", binary + binary);
  }
  cuda::PlanCache again("products"), other("convolutions");
  CHECK(again.find("bf16 3x5") == binary + binary);
  CHECK(again.find("before") == "kept in memory");
  CHECK_FALSE(other.find("bf16 3x5"));
  CHECK(read_text(folder.path / "made" / "products.txt").starts_with("fathom plans 1\n"));
}

TEST_CASE("plan cache: a file that is not ours is ignored and replaced") {
  const Folder folder;
  std::filesystem::create_directories(folder.path);
  const std::string content = GENERATE(std::string("something else\na\t00\n"),
                                       std::string("fathom plans 1\nno tab\na\t0\na\txx\n"),
                                       std::string("fathom plans 1\na\t"), std::string());
  std::ofstream(folder.path / "products.txt") << content;
  cuda::PlanCache::set_folder(folder.path);
  cuda::PlanCache cache("products");
  CHECK_FALSE(cache.find("a"));
  cache.insert("a", "1");
  CHECK(read_text(folder.path / "products.txt") == "fathom plans 1\na\t31\n");
  CHECK_THROWS_WITH(cache.insert("two\tfields", "1"), Catch::Contains("one line without tabs"));
}

TEST_CASE("plan cache: a folder that cannot be written is no error") {
  const Folder folder;
  std::filesystem::create_directories(folder.path);
  std::ofstream(folder.path / "file") << "x";
  cuda::PlanCache::set_folder(folder.path / "file");  // not a folder
  cuda::PlanCache cache("products");
  CHECK_NOTHROW(cache.insert("a", "1"));
  CHECK(cache.find("a") == "1");
}

}  // namespace fathom
