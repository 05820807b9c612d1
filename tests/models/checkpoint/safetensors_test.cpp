#include "models/checkpoint/safetensors.h"

#include "tests/models/checkpoint/made_files.h"

namespace fathom {

using made::refusal;
using made::safetensors;

static std::string header_refusal(const std::string& header, size_t data_bytes) {
  return refusal(safetensors(header, std::string(data_bytes, '\0')));
}

TEST_CASE("safetensors: writing and reading gives the same tensors, aligned, with metadata") {
  const made::Folder folder;
  const std::string wide = made::iota_f32({3, 5}), one = made::iota_f32({}, 4);
  const std::string flags("\1\0\1", 3);
  const std::vector<OutputTensor> tensors = {
      output_tensor("flag", DType::boolean, {3}, made::bytes_of(flags)),
      output_tensor("w\"\n\xc3\xa9", DType::f32, {3, 5}, made::bytes_of(wide)),
      {"pieces", DType::f32, {}, [&](const OutputTensor::Sink& sink) {
         sink(made::bytes_of(one).first(1));
         sink(made::bytes_of(one).subspan(1));
       }}};
  write_safetensors(folder.path / "a.safetensors", tensors, {{"fathom.version", "v2"}});
  const Archive archive = open_archive(folder.path / "a.safetensors");
  REQUIRE(archive.entries.size() == 3);
  CHECK(archive.entries[2].name == "flag");  // the smallest element type comes last
  CHECK(archive.metadata.at("fathom.version") == "v2");
  CHECK(archive.at("w\"\n\xc3\xa9").shape == Shape{3, 5});
  CHECK(made::values_of(archive.at("w\"\n\xc3\xa9"))[14] == 14);
  CHECK(made::values_of(archive.at("pieces")) == std::vector<double>{4});
  CHECK(made::values_of(archive.at("flag")) == std::vector<double>{1, 0, 1});
  CHECK(reinterpret_cast<uintptr_t>(archive.entries[0].bytes.data()) % 64 == 0);
}

TEST_CASE("safetensors: the writer refuses twins and wrong sizes, and leaves no file") {
  const made::Folder folder;
  const std::string data = made::iota_f32({2});
  const OutputTensor good = output_tensor("a", DType::f32, {2}, made::bytes_of(data));
  const OutputTensor wrong = output_tensor("b", DType::f32, {3}, made::bytes_of(data));
  const OutputTensor more = output_tensor("b", DType::f32, {1}, made::bytes_of(data));
  const auto write = [&](std::vector<OutputTensor> tensors) {
    write_safetensors(folder.path / "x", tensors, {});
  };
  CHECK_THROWS_WITH(write({good, good}), Catch::Contains("two tensors are named 'a'"));
  CHECK_THROWS_WITH(write({good, wrong}), Catch::Contains("produced 8 bytes of 12"));
  CHECK_THROWS_WITH(write({good, more}), Catch::Contains("more than its 4 bytes"));
  CHECK_THROWS_WITH(write({output_tensor("\xff", DType::f32, {2}, made::bytes_of(data))}),
                    Catch::Contains("not valid UTF-8"));
  CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("safetensors: torn at every byte, or with a byte more, it is refused in words") {
  const std::string file = safetensors(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"k":"v"}})",
      made::iota_f32({2}));
  CHECK(refusal(file).empty());
  for (size_t size = 0; size < file.size(); ++size)
    CHECK_THAT(refusal(file.substr(0, size)), Catch::StartsWith("made.pth: "));
  CHECK_THAT(refusal(file + "x"), Catch::Contains("cover 8 bytes of 9"));
}

TEST_CASE("safetensors: every rule of the header is checked") {
  const auto one = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  CHECK(header_refusal(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 8).empty());
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8),
             Catch::Contains("not what its shape needs"));
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8),
             Catch::Contains("outside the 8 bytes"));
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,9])"), 8),
             Catch::Contains("outside the 8 bytes"));
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[2],"data_offsets":[1,9])"), 9),
             Catch::Contains("gap or overlap at byte 0"));
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), 8),
             Catch::Contains("not a short list of sizes"));
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), 8),
             Catch::Contains("not a short list of sizes"));
  CHECK_THAT(header_refusal(
                 one(R"("dtype":"F32","shape":[4611686018427387903,8],"data_offsets":[0,8])"), 8),
             Catch::Contains("not what its shape needs"));
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[2])"), 8), Catch::Contains("lacks its"));
  CHECK_THAT(
      header_refusal(one(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])"), 8),
      Catch::Contains("needs one dtype"));
  CHECK_THAT(header_refusal(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1)"), 8),
             Catch::Contains("unknown field 'x'"));
  CHECK_THAT(header_refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                            R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                            2),
             Catch::Contains("two tensors are named 'a'"));
  CHECK_THAT(header_refusal(R"({"__metadata__":{"k":1}})", 0), Catch::Contains("must be a text"));
  CHECK_THAT(header_refusal("{\"a\":{\"shape\":" + std::string(100000, '['), 0),
             Catch::Contains("nested deeper"));
  CHECK_THAT(header_refusal("{\"a\" 1}", 0), Catch::Contains("not valid JSON"));
}

TEST_CASE("safetensors: foreign types and empty tensors are skipped with the reason") {
  const std::string file = safetensors(R"({"i":{"dtype":"I16","shape":[1],"data_offsets":[0,2]},)"
                                       R"("n":{"dtype":"F7","shape":[1],"data_offsets":[2,5]},)"
                                       R"("z":{"dtype":"F32","shape":[0,9],"data_offsets":[5,5]},)"
                                       R"("u":{"dtype":"U8","shape":[],"data_offsets":[5,6]}}    )",
                                       std::string(6, '\7'));
  const Archive archive = made::parse(file);
  CHECK(archive.skipped.size() == 3);
  CHECK(made::values_of(archive.at("u")) == std::vector<double>{7});
  CHECK_THROWS_WITH(archive.at("n"), Catch::Contains("element type F7 is not supported"));
}

TEST_CASE("safetensors: shards are one archive; an index that lies is refused") {
  const made::Folder folder;
  const std::string data = made::iota_f32({2});
  const auto shard = [&](const char* file, const char* name) {
    const OutputTensor tensor = output_tensor(name, DType::f32, {2}, made::bytes_of(data));
    write_safetensors(folder.path / file, std::span(&tensor, 1), {{"format", "pt"}});
  };
  shard("m-1.safetensors", "a.w");
  shard("m-2.safetensors", "b.w");
  const auto index = [&](const std::string& map) {
    return folder.write("model.safetensors.index.json",
                        R"({"metadata":{"total_size":16},"weight_map":{)" + map + "}}");
  };
  index(R"("a.w":"m-1.safetensors","b.w":"m-2.safetensors")");
  folder.write(
      "config.json",
      R"({"model_type":"depth_anything","max_depth":null,"depth_estimation_type":"relative",
                   "backbone_config":{"out_indices":[3,6,9,12]}})");
  const Archive archive = open_archive(folder.path);  // the folder itself
  CHECK(archive.format == "safetensors, 2 shards");
  CHECK(made::values_of(archive.at("b.w")) == std::vector<double>{0, 1});
  CHECK(archive.metadata.at("config.backbone_config.out_indices") == "3,6,9,12");
  CHECK(archive.metadata.at("config.max_depth") == "null");
  archive.drop(archive.at("b.w"));  // pages come back on the next read
  CHECK(made::values_of(archive.at("b.w")) == std::vector<double>{0, 1});

  CHECK_THROWS_WITH(open_archive(index(R"("a.w":"m-1.safetensors","c":"m-2.safetensors")")),
                    Catch::Contains("holds tensor 'b.w'"));
  CHECK_THROWS_WITH(open_archive(index(R"("a.w":"m-1.safetensors","b.w":"m-3.safetensors")")),
                    Catch::Contains("shard 'm-3.safetensors' is missing"));
  CHECK_THROWS_WITH(open_archive(index(R"("a.w":"../m-1.safetensors")")),
                    Catch::Contains("in the same folder"));
  CHECK_THROWS_WITH(open_archive(index(R"("a.w":"m-1.safetensors","a.x":"m-1.safetensors")")),
                    Catch::Contains("lists 2 tensors, but the shards hold 1"));
}

}  // namespace fathom
