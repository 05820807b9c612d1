#include "train/data/manifest.h"

#include "tests/testing.h"
#include "tests/train/data/folder.h"

namespace fathom {

TEST_CASE("manifest: every field is read") {
  const Folder folder("manifest");
  const auto path = folder.write("m.jsonl", R"({"image": "a.jpg"}

{"image": "s.tar:b.jpg", "depth": "b.png", "kind": "disparity", "scale": 0.5, "unit": "1/m", "invalid": [0, ">65500", "nan"], "sky_values": 65535, "mask": "m.png", "mask_above": 153, "sky": "s.png", "key": "depth", "percentiles": [1, 98], "refuse_below": -1.5, "ray_focal_px": 886.81, "dataset": "diml", "split": "train"})"
                                            "\r\n");
  const Manifest manifest(path);
  REQUIRE(manifest.size() == 2);
  CHECK(manifest.labeled() == 1);
  CHECK(manifest.entry(0).image == "a.jpg");
  CHECK(!manifest.entry(0).labeled());
  const ManifestEntry entry = manifest.entry(1);
  CHECK(entry.image == "s.tar:b.jpg");
  CHECK(entry.depth == "b.png");
  CHECK(entry.mask == "m.png");
  CHECK(entry.sky == "s.png");
  CHECK(entry.key == "depth");
  CHECK(entry.dataset == "diml");
  CHECK(entry.split == "train");
  const LabelFormat& format = entry.format;
  CHECK(format.kind == LabelKind::disparity);
  CHECK(format.scale == 0.5);
  CHECK(format.unit_m == 1);
  REQUIRE(format.invalid.size() == 3);
  CHECK(format.invalid[0].matches(0));
  CHECK(format.invalid[1].matches(65501));
  CHECK(format.invalid[2].relation == Marker::Relation::nan);
  REQUIRE(format.sky.size() == 1);
  CHECK(format.sky[0].matches(65535));
  CHECK(format.mask_above == 153);
  CHECK(format.lowest_percent == 1);
  CHECK(format.highest_percent == 98);
  CHECK(format.refuse_below == -1.5);
  CHECK(format.ray_focal_px == 886.81);
  CHECK_THROWS_WITH(manifest.entry(2), Catch::Contains("entry 2 of 2"));
}

TEST_CASE("manifest: units are metres") {
  const Folder folder("manifest-units");
  const auto unit = [&](const std::string& kind, const std::string& name) {
    const std::string line =
        R"({"image": "a", "depth": "b", "kind": ")" + kind + R"(", "unit": ")" + name + "\"}";
    return Manifest(folder.write("m", line)).entry(0).format.unit_m;
  };
  CHECK(unit("depth", "m") == 1);
  CHECK(unit("depth", "cm") == 0.01);
  CHECK(unit("depth", "mm") == 0.001);
  CHECK(unit("depth", "relative") == 0);
  CHECK(unit("disparity", "px") == 0);
  CHECK(unit("disparity", "1/m") == 1);
  CHECK_THROWS_WITH(unit("disparity", "m"), Catch::Contains("unit 'm' is not one of disparity"));
  CHECK_THROWS_WITH(unit("depth", "1/m"), Catch::Contains("unit '1/m' is not one of depth"));
}

TEST_CASE("manifest: splits choose lines") {
  const Folder folder("manifest-splits");
  const auto path = folder.write("m", R"({"image": "a", "split": "train"}
{"image": "b", "split": "val"}
{"image": "c", "split": "train"}
{"image": "d"})");
  CHECK(Manifest(path).size() == 4);
  const Manifest train(path, "train");
  REQUIRE(train.size() == 2);
  CHECK(train.entry(1).image == "c");
  CHECK_THROWS_WITH(Manifest(path, "test"),
                    Catch::Contains("no entry of split 'test'") &&
                        Catch::Contains("none stated (1), 'train' (2), 'val' (1)"));
}

TEST_CASE("manifest: names file, line, field and remedy") {
  const Folder folder("manifest-errors");
  const auto refuse = [&](const std::string& line, const char* words) {
    const auto path = folder.write("bad.jsonl", "{\"image\": \"ok\"}\n" + line);
    CHECK_THROWS_WITH(Manifest(path),
                      Catch::StartsWith(path.string() + ":2: ") && Catch::Contains(words));
  };
  refuse("{", "not valid JSON");
  refuse("[1]", "not an object");
  refuse("{}", "no \"image\"");
  refuse(R"({"image": 3})", "'image' must be a text that is not empty");
  refuse(R"({"image": ""})", "'image' must be a text that is not empty");
  refuse(R"({"image": ["a"]})", "'image' must be a text, not a list");
  refuse(R"({"image": "a", "image": "b"})", "'image' stands twice");
  refuse(R"({"image": "a", "deph": "b"})", "unknown field 'deph'; the fields are image, depth");
  refuse(R"({"image": "a", "depth": "b"})", "no \"kind\" beside \"depth\"");
  refuse(R"({"image": "a", "depth": "b", "kind": "z"})", "kind 'z' is not known");
  refuse(R"({"image": "a", "kind": "depth"})", "'kind' describes a label");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "scale": 0})",
         "'scale' must be a number");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "scale": "1"})",
         "'scale' must be a number");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "scale": [1]})",
         "must be a number, not a list");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "invalid": ["zero"]})",
         "'invalid': 'zero'");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "invalid": [[0]]})", "not a list");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "mask_above": 1})", "without a \"mask\"");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "percentiles": [2]})", "two numbers");
  refuse(R"({"image": "a", "depth": "b", "kind": "depth", "percentiles": [2, 1]})",
         "smaller first");
  refuse(std::string(70000, 'x'), "a line of 70000 bytes");
  CHECK_THROWS_WITH(Manifest(folder.write("empty", "\n \n")),
                    Catch::Contains("the manifest is empty"));
  CHECK_THROWS_WITH(Manifest(folder.path / "absent"), Catch::Contains("cannot open"));
}

}  // namespace fathom
