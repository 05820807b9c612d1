#include "models/checkpoint/torch_file.h"

#include "tests/models/checkpoint/made_files.h"

namespace fathom {

using made::dict;
using made::floats;
using made::refusal;
using made::tensor;

static const std::string kStorage = floats({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});

TEST_CASE("torch zip: nested dicts become dotted names, scalars become metadata") {
  const std::string file = made::torch_zip(
      dict({{"model", dict({{"w", tensor("FloatStorage", "0", 10, 2, {2, 3}, {3, 1})},
                            {"t", tensor("FloatStorage", "0", 10, 0, {3, 2}, {1, 3})}})},
            {"epoch", made::integer(7)},
            {"note", made::text("hello")},
            {"done", "\x88"},
            {"list", "](" + tensor("FloatStorage", "0", 10, 9, {}, {}) + "K\1e"}}),
      kStorage);
  const Archive archive = made::parse(file);
  CHECK(archive.format == "PyTorch zip");
  REQUIRE(archive.entries.size() == 3);
  CHECK(archive.entries[0].name == "model.w");
  CHECK(archive.entries[0].contiguous());
  CHECK(made::values_of(archive.at("model.w")) == std::vector<double>{2, 3, 4, 5, 6, 7});
  CHECK_FALSE(archive.at("model.t").contiguous());
  CHECK(made::values_of(archive.at("model.t")) == std::vector<double>{0, 3, 1, 4, 2, 5});
  CHECK(made::values_of(archive.at("list.0")) == std::vector<double>{9});
  CHECK(archive.metadata.at("epoch") == "7");
  CHECK(archive.metadata.at("note") == "hello");
  CHECK(archive.metadata.at("done") == "true");
  // Nothing is copied: the view starts inside the file.
  const auto bytes = made::bytes_of(file);
  CHECK((archive.entries[0].bytes.data() > bytes.data() &&
         archive.entries[0].bytes.data() < bytes.data() + bytes.size()));
  CHECK(archive.entries[0].bytes.size() == 24);
}

TEST_CASE("torch legacy: storages follow the pickles; a storage may be a view") {
  const std::string view = made::global("torch._utils", "_rebuild_tensor_v2") + "((" +
                           made::text("storage") + made::global("torch", "FloatStorage") +
                           made::text("0") + made::text("cpu") + made::integer(10) + "(" +
                           made::text("v") + made::integer(4) + made::integer(3) + "ttQ" +
                           made::integer(1) + made::tuple({2}) + made::tuple({1}) + "\x89}tR";
  const std::string file =
      made::torch_legacy(dict({{"a", tensor("FloatStorage", "0", 10, 0, {10}, {1})}, {"b", view}}),
                         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Archive archive = made::parse(file);
  CHECK(archive.format == "PyTorch legacy");
  CHECK(made::values_of(archive.at("a"))[9] == 9);
  CHECK(made::values_of(archive.at("b")) == std::vector<double>{5, 6});
}

TEST_CASE("torch files: torn at every byte, they are refused in words or read whole") {
  const std::string body = dict({{"w", tensor("FloatStorage", "0", 10, 0, {2, 5}, {5, 1})}});
  const std::string file = GENERATE_COPY(made::torch_zip(body, kStorage),
                                         made::torch_legacy(body, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  CHECK(refusal(file).empty());
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    CHECK_THAT(refusal(file.substr(0, size)), Catch::StartsWith("made.pth: "));
  }
}

TEST_CASE("torch files: views are checked against their storage") {
  const auto refused = [](int32_t numel, int32_t offset, std::vector<int32_t> size,
                          std::vector<int32_t> stride) {
    return refusal(made::torch_zip(
        dict({{"w", tensor("FloatStorage", "0", numel, offset, size, stride)}}), kStorage));
  };
  CHECK(refused(10, 4, {2, 3}, {3, 1}).empty());
  CHECK_THAT(refused(10, 5, {2, 3}, {3, 1}), Catch::Contains("reaches past its storage of 10"));
  CHECK_THAT(refused(9, 4, {2, 3}, {3, 1}), Catch::Contains("reaches past its storage of 9"));
  CHECK_THAT(refused(11, 0, {2}, {1}), Catch::Contains("should hold 11 elements"));
  CHECK_THAT(refused(10, -1, {2}, {1}), Catch::Contains("reaches past"));
  CHECK_THAT(refused(10, 0, {2, -2}, {1, 1}), Catch::Contains("not an integer of 0 or more"));
  CHECK_THAT(refused(10, 0, {2}, {-1}), Catch::Contains("not an integer of 0 or more"));
  CHECK_THAT(refused(10, 0, {2, 2}, {1}), Catch::Contains("has 2 axes and 1 strides"));
  CHECK_THAT(refused(10, 0, {2, 2}, {2147483647, 2147483647}), Catch::Contains("reaches past"));
  CHECK_THAT(refused(-1, 0, {2}, {1}), Catch::Contains("a storage of -1 elements"));
}

TEST_CASE("torch files: what cannot be held is listed as skipped, and refused when asked for") {
  const std::string file = made::torch_zip(
      dict({{"zero", tensor("FloatStorage", "0", 10, 0, {0, 3}, {3, 1})},
            {"short", tensor("ShortStorage", "0", 10, 0, {3}, {1})},
            {"expanded", tensor("FloatStorage", "0", 10, 0, {1000, 1000}, {0, 0})},
            {"deep",
             tensor("FloatStorage", "0", 10, 0, {1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1})},
            {"good", tensor("FloatStorage", "0", 10, 0, {3}, {1})}}),
      kStorage);
  const Archive archive = made::parse(file);
  CHECK(archive.entries.size() == 1);
  CHECK(archive.skipped.size() == 4);
  CHECK_THROWS_WITH(archive.at("zero"), Catch::Contains("'zero' has no elements"));
  CHECK_THROWS_WITH(archive.at("short"), Catch::Contains("ShortStorage is not supported"));
  CHECK_THROWS_WITH(archive.at("expanded"), Catch::Contains("repeats its elements"));
  CHECK_THROWS_WITH(archive.at("deep"), Catch::Contains("more than 6 axes"));
  CHECK_THROWS_WITH(archive.at("absent"), Catch::Contains("no tensor 'absent' among its 1"));
}

TEST_CASE("torch files: shared and circular dicts end") {
  // d holds itself: } q0 (key h0) s
  CHECK_THAT(
      refusal(made::torch_zip(std::string("}q\0", 3) + made::text("me") + std::string("h\0s", 3))),
      Catch::Contains("nested deeper than"));
  // Each level names the one below twice: 2^20 names from 20 dicts.
  std::string body = "}q" + std::string(1, '\0');
  for (int level = 1; level <= 20; ++level) {
    const std::string below = "h" + std::string(1, char(level - 1));
    body += "}(" + made::text("a") + below + made::text("b") + below + "uq" +
            std::string(1, char(level));
  }
  // Only the last dict may be left on the stack: hold all of them in a list.
  CHECK_THAT(refusal(made::torch_zip("](" + body + "e")), Catch::Contains("share parts so often"));
}

TEST_CASE("torch zip: says what other zip archives are") {
  const std::string body = dict({});
  CHECK_THAT(
      refusal(made::Zip{{{"m/data.pkl", made::pickle(body)}, {"m/constants.pkl", "x"}}}.build()),
      Catch::Contains("TorchScript") && Catch::Contains("state_dict()"));
  CHECK_THAT(refusal(made::Zip{{{"a.npy", "x"}}}.build()), Catch::Contains("NumPy .npz"));
  CHECK_THAT(refusal(made::Zip{{{"a.txt", "x"}}}.build()), Catch::Contains("no data.pkl"));
  CHECK_THAT(
      refusal(made::Zip{{{"m/data.pkl", made::pickle(body)}, {"m/byteorder", "big"}}}.build()),
      Catch::Contains("'big'") && Catch::Contains("little-endian"));
  CHECK_THAT(refusal(made::torch_legacy(body, {}, false)), Catch::Contains("big-endian"));
}

}  // namespace fathom
