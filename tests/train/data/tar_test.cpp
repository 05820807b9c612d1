#include "train/data/tar.h"

#include "models/checkpoint/bytes.h"
#include "tests/testing.h"
#include "tests/train/data/tar_writer.h"

namespace fathom {

static std::string contents(const TarIndex& tar, const std::string& name) {
  const auto bytes = tar.find(name);
  return bytes ? std::string(as_text(*bytes)) : "absent";
}

static TarIndex index_of(const std::string& archive) {
  return TarIndex(std::as_bytes(std::span(archive)), "test.tar");
}

TEST_CASE("tar: finds files by name, folders and links left out") {
  const std::string exact(512, 'x');
  const std::string archive = tar_member("a.txt", "first") + tar_member("folder/", "", '5') +
                              tar_member("folder/b.bin", exact) + tar_member("link", "", '2') +
                              tar_member("./dotted.txt", "d") + tar_member("empty", "") + tar_end();
  const TarIndex tar = index_of(archive);
  CHECK(tar.size() == 4);
  CHECK(tar.names() == std::vector<std::string>{"a.txt", "folder/b.bin", "dotted.txt", "empty"});
  CHECK(contents(tar, "a.txt") == "first");
  CHECK(contents(tar, "folder/b.bin") == exact);
  CHECK(contents(tar, "dotted.txt") == "d");
  CHECK(contents(tar, "./a.txt") == "first");
  CHECK(contents(tar, "empty").empty());
  CHECK(contents(tar, "A.TXT") == "absent");
  CHECK(contents(tar, "link") == "absent");
}

TEST_CASE("tar: long names of ustar, GNU and pax") {
  const std::string folder(120, 'f'), file(90, 'n'), gnu(300, 'g'), pax(400, 'p');
  std::string record = " path=" + pax + "\n";
  record = std::to_string(record.size() + 3) + record;
  const std::string size_record = "9 size=3\n";
  const std::string archive =
      tar_member(file, "1", '0', folder) + tar_member("././@LongLink", gnu + '\0', 'L') +
      tar_member(gnu.substr(0, 100), "22") + tar_member("PaxHeader", record + size_record, 'x') +
      tar_member(pax.substr(0, 100), "333") + tar_member("plain", "4");
  const TarIndex tar = index_of(archive);  // without end blocks, as some writers leave it
  CHECK(contents(tar, folder + "/" + file) == "1");
  CHECK(contents(tar, gnu) == "22");
  CHECK(contents(tar, pax) == "333");
  CHECK(contents(tar, "plain") == "4");
  CHECK(tar.size() == 4);
}

TEST_CASE("tar: the last of several members of one name counts") {
  const std::string archive =
      tar_member("a", "old") + tar_member("b", "x") + tar_member("a", "new");
  CHECK(contents(index_of(archive), "a") == "new");
}

TEST_CASE("tar: sizes in base 256, as for files of 8 GiB and more") {
  std::string archive = tar_member("a", "data");
  archive.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\0\0\x04", 12));
  size_t sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : uint8_t(archive[i]);
  char text[8];
  std::snprintf(text, sizeof text, "%06zo", sum);
  archive.replace(148, 7, text, 7);
  CHECK(contents(index_of(archive), "a") == "data");
}

TEST_CASE("tar: says what is wrong") {
  const auto refuse = [](const std::string& archive, const char* words) {
    CHECK_THROWS_WITH(index_of(archive), Catch::StartsWith("test.tar: ") && Catch::Contains(words));
  };
  const std::string good = tar_member("a", "data") + tar_member("b", "more");
  refuse("", "a tar archive of 0 bytes");
  refuse("\x1f\x8b compressed", "compressed archive has no random access");
  std::string bad = good;
  bad[1024] = 'X';
  refuse(bad, "header at byte 1024 has a wrong checksum");
  refuse(good.substr(0, 1537), "declares 4 bytes, more than the 1 that follow");
  refuse(good.substr(0, 1200), "is cut short");
  refuse(tar_header("a", 07777777777), "declares 1073741823 bytes");
  refuse(tar_member("p", "12 path=x\n", 'x') + good, "pax record is malformed");
  refuse(tar_member("p", "99999999999999999999 path=x\n", 'x') + good, "pax record is malformed");
  refuse(tar_member("p", "9 size=x\n", 'x') + good, "pax size 'x' is not a number");
}

}  // namespace fathom
