#include "train/data/sample.h"

#include "tests/testing.h"
#include "tests/train/data/folder.h"
#include "tests/train/data/tar_writer.h"

namespace fathom {

// A 2 x 2 photo, and maps of 8 bits.
static const std::string kPhoto = std::string("P6 2 2 255\n") + "abcdefghijkl";
static std::string pgm(const std::string& values) { return "P5 2 2 255\n" + values; }

TEST_CASE("sample: photo, label and masks come from folders and archives") {
  const Folder folder("sample");
  folder.write("p/a.ppm", kPhoto);
  folder.write("labels.tar", tar_member("a.pgm", pgm("\x01\x02\x04\x08")) +
                                 tar_member("sky.pgm", pgm({"\0\0\0\xff", 4})) + tar_end());
  folder.write("mask.pgm", pgm({"\xff\xff\0\xff", 4}));
  const Manifest manifest(
      folder.write("m", R"({"image": "p/a.ppm", "depth": "labels.tar:a.pgm", "kind": "depth", )"
                        R"("mask": "mask.pgm", "sky": "labels.tar:sky.pgm"})"));
  const ManifestEntry entry = manifest.entry(0);
  CHECK(load_image(manifest.files(), entry).pixels.size() == 12);
  const DepthMap map = load_depth(manifest.files(), entry, DepthTarget::inverse_depth);
  CHECK(map.values == std::vector<float>{1, 0.5f, 0, 0});
  CHECK(map.mask == std::vector<uint8_t>{1, 1, 0, 1});
}

TEST_CASE("sample: errors name the file") {
  const Folder folder("sample-errors");
  folder.write("a.ppm", kPhoto.substr(0, 15));
  folder.write("z.pgm", pgm(std::string(4, '\0')));
  const Manifest manifest(folder.write("m", R"({"image": "a.ppm", "depth": "z.pgm", "kind": "depth"}
{"image": "a.ppm"})"));
  const auto& files = manifest.files();
  CHECK_THROWS_WITH(load_image(files, manifest.entry(0)), Catch::Contains("a.ppm: "));
  CHECK_THROWS_WITH(load_depth(files, manifest.entry(0), DepthTarget::inverse_depth),
                    Catch::Contains("z.pgm: the label of 2 x 2 has no valid pixel"));
  CHECK_THROWS_WITH(load_depth(files, manifest.entry(1), DepthTarget::inverse_depth),
                    Catch::Contains("names no depth"));
}

}  // namespace fathom
