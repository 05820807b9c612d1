#include "models/checkpoint/archive.h"

#include <cmath>

#include "models/checkpoint/names.h"
#include "tests/models/checkpoint/made_files.h"

namespace fathom {

static std::filesystem::path data(const char* name) {
  return std::filesystem::path(FATHOM_TEST_DATA) / "weights" / name;
}

TEST_CASE("archive: files of real PyTorch versions hold what their writer put in") {
  const Archive special = open_archive(data("special_values.pt"));
  const std::vector<double> values = made::values_of(special.at("tensor"));
  REQUIRE(values.size() == 5);
  CHECK(std::isnan(values[0]));
  CHECK(values[4] == 1);
  CHECK(made::values_of(open_archive(data("bfloat16.pt")).at("tensor")) ==
        std::vector<double>{1.5, -2.5, 3.5});
  const Archive offsets = open_archive(data("legacy_with_offsets.pt"));
  CHECK(made::values_of(offsets.at("tensor2"))[4] == double(2.4f));
  CHECK(made::values_of(offsets.at("tensor3"))[0] == 3);
  const Archive checkpoint = open_archive(data("checkpoint.pt"));
  CHECK(checkpoint.metadata.at("epoch") == "42");
  CHECK(checkpoint.metadata.at("loss").substr(0, 5) == "0.123");
  CHECK(checkpoint.at("model_state_dict.fc2.weight").shape == Shape{3, 10});
  CHECK(open_archive(data("empty.pt")).skipped.at(0).reason == "has no elements");
  // Python 2 strings, an OrderedDict made from pairs, _rebuild_tensor_v2 on CUDA storages.
  const Archive lpips = open_archive(data("lpips_v0.1_alex.pth"));
  CHECK(lpips.format == "PyTorch legacy");
  CHECK(lpips.at("lin4.model.1.weight").shape == Shape{1, 256, 1, 1});
}

TEST_CASE("archive: views of a real file keep their strides") {
  const Archive archive = open_archive(data("non_contiguous.pt"));
  const Entry& permuted = archive.at("permuted");
  CHECK(permuted.shape == Shape{2, 4, 3});
  CHECK_FALSE(permuted.contiguous());
  CHECK(archive.find("expanded") != nullptr);
}

TEST_CASE("archive: other files are refused in words that say what they are") {
  const auto words = [](const std::string& content) { return made::refusal(content); };
  CHECK_THAT(words(""), Catch::Contains("empty"));
  CHECK_THAT(words(std::string("\x1c\0\0\0TFL3....", 12)), Catch::Contains("TensorFlow Lite"));
  CHECK_THAT(words(std::string(257, 'a') + "ustar" + std::string(300, '\0')),
             Catch::Contains("tar archive") && Catch::Contains("PyTorch 0.1"));
  CHECK_THAT(words("version https://git-lfs.github.com/spec/v1\n"),
             Catch::Contains("git lfs pull"));
  CHECK_THAT(words("<!DOCTYPE html>"), Catch::Contains("download failed"));
  CHECK_THAT(words("\x80\x04N."), Catch::Contains("pickle that torch.save did not write"));
  CHECK_THAT(words("\x89PNG\r\n\x1a\n"), Catch::Contains("an image"));
  CHECK_THAT(words("hello"), Catch::Contains("unknown format"));
  const made::Folder folder;
  CHECK_THROWS_WITH(open_archive(folder.path),
                    Catch::Contains("a folder without model.safetensors"));
  CHECK_THROWS_WITH(open_archive(folder.path / "absent.pth"), Catch::Contains("cannot open"));
}

TEST_CASE("archive: every real weight file is read or refused in words") {
  const std::filesystem::path root = shared_data();
  if (root.empty()) return;
  int read = 0, refused = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root / "weights")) {
    if (!file.is_regular_file()) continue;
    CAPTURE(file.path());
    try {
      const Archive archive = open_archive(file.path());
      for (const Entry& entry : archive.entries) made::values_of(entry);
      ++read;
    } catch (const Error& error) {
      CHECK_THAT(error.what(),
                 Catch::Contains("TorchScript") || Catch::Contains("TensorFlow Lite"));
      ++refused;
    }
  }
  CHECK(read >= 25);
  CHECK(refused >= 3);
}

TEST_CASE("archive: one network saved both ways has the same names and shapes") {
  const std::filesystem::path root = shared_data();
  if (root.empty()) return;
  const Archive zip = open_archive(root / "weights/burn_mnist.pt");
  const Archive safe = open_archive(root / "weights/burn_mnist.safetensors");
  REQUIRE(zip.entries.size() == 20);
  for (const Entry& entry : zip.entries) {
    CAPTURE(entry.name);
    CHECK(safe.at(entry.name).shape == entry.shape);
    CHECK(safe.at(entry.name).dtype == entry.dtype);
  }
}

}  // namespace fathom
