#include "core/file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>

#include "tests/child.h"
#include "tests/testing.h"

namespace fathom {

namespace fs = std::filesystem;

// A folder of its own, removed at the end of the scope.
struct Folder {
  Folder() { fs::create_directories(path); }
  ~Folder() {
    fs::permissions(path, fs::perms::owner_all);
    fs::remove_all(path);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path))
      names.push_back(entry.path().filename().string());
    return names;
  }
  const fs::path path = fs::temp_directory_path() / ("fathom-file-" + std::to_string(::getpid()));
};

using Names = std::vector<std::string>;

static void write_plainly(const fs::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST_CASE("MappedFile: the bytes of the file, however long") {
  const Folder folder;
  for (const size_t size : {0, 1, 4095, 4096, 4097, 1 << 20}) {
    std::string text(size, 'x');
    for (size_t i = 0; i < size; ++i) text[i] = char(i * 131);
    write_plainly(folder.path / "a", text);
    const MappedFile file(folder.path / "a");
    REQUIRE(file.bytes().size() == size);
    CHECK((size == 0 || std::memcmp(file.bytes().data(), text.data(), size) == 0));
    file.drop(file.bytes());  // dropped pages come back
    CHECK((size == 0 || std::memcmp(file.bytes().data(), text.data(), size) == 0));
    CHECK(read_text(folder.path / "a") == text);
  }
}

TEST_CASE("MappedFile: says why a file cannot be read") {
  const Folder folder;
  const fs::path missing = folder.path / "missing", pipe = folder.path / "pipe";
  CHECK_THROWS_WITH(MappedFile(missing),
                    missing.string() + ": cannot open: No such file or directory");
  CHECK_THROWS_WITH(MappedFile(folder.path), folder.path.string() + ": not a regular file");
  CHECK_THROWS_WITH(MappedFile("/dev/null"), "/dev/null: not a regular file");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const ChildResult result = in_child([&] {
    ::alarm(5);  // it must not wait for a writer
    MappedFile{pipe};
  });
  CHECK(result.status == 1);
  CHECK_THAT(result.output, Catch::Contains("pipe: not a regular file"));
}

TEST_CASE("read_text: refuses large files by their size") {
  const Folder folder;
  write_plainly(folder.path / "a", "12345");
  CHECK(read_text(folder.path / "a", 5) == "12345");
  CHECK_THROWS_WITH(read_text(folder.path / "a", 4),
                    Catch::Contains("5 bytes, expected a text file of at most 4"));
}

TEST_CASE("AtomicFile: the target changes at commit and not before") {
  const Folder folder;
  const fs::path target = folder.path / "out.txt";
  write_plainly(target, "old");
  {
    AtomicFile file(target);
    file.write("new ");
    file.write(std::string(100000, 'z'));
    CHECK(read_text(target) == "old");
    CHECK(folder.names().size() == 2);
    file.commit();
    CHECK(read_text(target) == "new " + std::string(100000, 'z'));
    CHECK_THROWS_WITH(file.write("more"), Catch::Contains("out.txt: cannot write"));
  }
  CHECK(folder.names() == Names{"out.txt"});
}

TEST_CASE("AtomicFile: without commit nothing is left and the target is as it was") {
  const Folder folder;
  write_plainly(folder.path / "old", "old");
  {
    AtomicFile replaces(folder.path / "old"), creates(folder.path / "new");
    replaces.write("new");
    creates.write("new");
  }
  CHECK(folder.names() == Names{"old"});
  CHECK(read_text(folder.path / "old") == "old");
}

TEST_CASE("AtomicFile: many at once, also of the same target") {
  const Folder folder;
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (int i = 0; i < 70; ++i) {  // more than the slots of remove_unfinished_files
    files.push_back(std::make_unique<AtomicFile>(folder.path / "same"));
    files.back()->write(std::to_string(i));
  }
  CHECK(folder.names().size() == 70);
  for (const auto& file : files) file->commit();
  CHECK(folder.names() == Names{"same"});
  CHECK(read_text(folder.path / "same") == "69");
}

// A full disk, as a write sees it: the system takes part of the bytes, then refuses.
TEST_CASE("AtomicFile: a full disk is an error with the system's words, and leaves nothing") {
  const Folder folder;
  write_plainly(folder.path / "out", "old");
  const ChildResult result = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10000, 10000};
    check(::setrlimit(RLIMIT_FSIZE, &limit) == 0, "no limit");
    AtomicFile file(folder.path / "out");
    file.write(std::string(9000, 'x'));
    file.write(std::string(9000, 'x'));
    file.commit();
  });
  CHECK(result.status == 1);
  CHECK_THAT(result.output, Catch::Contains("out: cannot write: File too large"));
  CHECK(folder.names() == Names{"out"});
  CHECK(read_text(folder.path / "out") == "old");
}

TEST_CASE("AtomicFile: says why a folder cannot be written to") {
  const Folder folder;
  const fs::path missing = folder.path / "no" / "out";
  CHECK_THROWS_WITH(AtomicFile(missing),
                    missing.string() + ": cannot write: No such file or directory");
  write_plainly(folder.path / "file", "");
  CHECK_THROWS_WITH(AtomicFile(folder.path / "file" / "out"),
                    Catch::Contains("cannot write: Not a directory"));
  fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec |
                                   fs::perms::others_read | fs::perms::others_exec);
  const ChildResult result = in_child([&] {
    if (::geteuid() == 0) check(::setuid(65534) == 0, "cannot become nobody");
    AtomicFile file(folder.path / "out");
  });
  CHECK(result.status == 1);
  CHECK_THAT(result.output, Catch::Contains("out: cannot write: Permission denied"));
  CHECK(folder.names() == Names{"file"});
}

TEST_CASE("AtomicFile: replaces files only, neither folders nor devices nor pipes") {
  const Folder folder;
  fs::create_directories(folder.path / "sub");
  const fs::path pipe = folder.path / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const fs::path& target : {folder.path / "sub", pipe})
    CHECK_THROWS_WITH(AtomicFile(target), target.string() + ": cannot write: not a regular file");
  CHECK(fs::is_fifo(pipe));
  CHECK(folder.names().size() == 2);
}

TEST_CASE("AtomicFile: a target that became a folder meanwhile is left alone") {
  const Folder folder;
  AtomicFile file(folder.path / "out");
  fs::create_directories(folder.path / "out" / "sub");
  CHECK_THROWS_WITH(file.commit(), Catch::Contains("out: cannot replace: "));
  CHECK(folder.names() == Names{"out"});
}

// A killed process leaves a temporary file, and in a container the next one often has the same
// process number.
TEST_CASE("AtomicFile: leftovers of a process with the same number are no obstacle") {
  const Folder folder;
  std::string name;
  {
    const AtomicFile probe(folder.path / "out");
    name = folder.names().at(0);
  }
  const size_t dash = name.rfind('-');
  const int number = std::stoi(name.substr(dash + 1));
  for (int i = 0; i <= 5; ++i)
    write_plainly(folder.path / (name.substr(0, dash + 1) + std::to_string(number + i)), "left");
  AtomicFile file(folder.path / "out");
  file.write("new");
  file.commit();
  CHECK(read_text(folder.path / "out") == "new");
  CHECK(folder.names().size() == 7);  // not ours, so not removed
}

TEST_CASE("remove_unfinished_files: from a signal handler, nothing half-written stays") {
  const Folder folder;
  write_plainly(folder.path / "old", "old");
  const ChildResult result = in_child([&] {
    std::signal(SIGINT, [](int) {
      remove_unfinished_files();
      ::_exit(130);
    });
    AtomicFile done(folder.path / "done"), unfinished(folder.path / "old");
    done.write("whole");
    done.commit();
    unfinished.write("half");
    std::raise(SIGINT);
  });
  CHECK(result.status == 130);
  CHECK(folder.names().size() == 2);
  CHECK(read_text(folder.path / "old") == "old");
  CHECK(read_text(folder.path / "done") == "whole");
}

TEST_CASE("remove_unfinished_files: a second call, and files that came and went, do no harm") {
  const Folder folder;
  for (int i = 0; i < 200; ++i) AtomicFile(folder.path / "x").write("y");
  AtomicFile file(folder.path / "x");
  remove_unfinished_files();
  CHECK(folder.names().empty());
  remove_unfinished_files();
  CHECK_THROWS_WITH(file.commit(), Catch::Contains("x: cannot replace: No such file"));
}

}  // namespace fathom
