#include "train/data/file_store.h"

#include <thread>

#include "models/checkpoint/bytes.h"
#include "tests/testing.h"
#include "tests/train/data/folder.h"
#include "tests/train/data/tar_writer.h"

namespace fathom {

TEST_CASE("file store: files, members of archives, and of archives within archives") {
  const Folder folder("file-store");
  folder.write("a b/c.txt", "plain");
  const std::string inner = tar_member("x.txt", "inner") + tar_end();
  folder.write("s/one.tar",
               tar_member("d/y.txt", "outer") + tar_member("in.tar", inner) + tar_end());
  const FileStore store(folder.path);
  const auto text = [&](const char* name) { return std::string(as_text(store.open(name).bytes)); };
  CHECK(text("a b/c.txt") == "plain");
  CHECK(text("s/one.tar:d/y.txt") == "outer");
  CHECK(text("s/one.tar:in.tar:x.txt") == "inner");
  CHECK(text("s/one.tar:in.tar") == inner);
  CHECK(text(folder.path.string().append("/a b/c.txt").c_str()) == "plain");
}

TEST_CASE("file store: many threads open members of one archive") {
  const Folder folder("file-store-threads");
  std::string archive;
  for (int i = 0; i < 50; ++i) archive += tar_member(std::to_string(i), "v" + std::to_string(i));
  folder.write("all.tar", archive + tar_end());
  const FileStore store(folder.path);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i)
        wrong +=
            as_text(store.open("all.tar:" + std::to_string(i)).bytes) != "v" + std::to_string(i);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("file store: says what is missing") {
  const Folder folder("file-store-errors");
  folder.write("one.tar", tar_member("a", "x") + tar_end());
  const FileStore store(folder.path);
  CHECK_THROWS_WITH(store.open("absent.png"), Catch::Contains("absent.png: cannot open"));
  CHECK_THROWS_WITH(store.open("two.tar:a"), Catch::Contains("two.tar: cannot open"));
  CHECK_THROWS_WITH(store.open("one.tar:b"), Catch::Contains("one.tar: no member 'b' among its 1"));
}

}  // namespace fathom
