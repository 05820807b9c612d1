#include "models/checkpoint/pickle.h"

#include <set>

#include "tests/models/checkpoint/made_files.h"

namespace fathom {

static Pickle read(const std::string& body) {
  static std::string kept;
  kept = made::pickle(body);
  return Pickle(made::bytes_of(kept), "f");
}
static std::string refused(const std::string& body) {
  try {
    read(body);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_CASE("pickle: reads every scalar that torch.save writes") {
  using Kind = Pickle::Kind;
  const auto integer = [](const std::string& body) {
    const Pickle pickle = read(body);
    REQUIRE(pickle.kind(pickle.root()) == Kind::integer);
    return pickle[pickle.root()].integer;
  };
  CHECK(integer("J" + made::le(int32_t(-5))) == -5);
  CHECK(integer("K\xff") == 255);
  CHECK(integer("M\x01\x02") == 513);
  CHECK(integer(std::string("\x8a\0", 2)) == 0);
  CHECK(integer("\x8a\x01\xff") == -1);
  CHECK(integer("\x8a\x02\xff\x7f") == 32767);
  CHECK(integer("\x8a\x08" + made::le(INT64_MIN)) == INT64_MIN);
  // 1.5 is 3ff8000000000000, most significant byte first.
  const Pickle real = read(std::string("G\x3f\xf8\0\0\0\0\0\0", 9));
  CHECK(real[real.root()].real() == 1.5);
  const Pickle words = read(made::text("d\xc3\xa9"));
  CHECK(words.text(words.root()) == "d\xc3\xa9");
  CHECK(read("N").kind(read("N").root()) == Kind::none);
}

TEST_CASE("pickle: memo, containers and OrderedDicts made from pairs") {
  const Pickle pickle =
      read(made::global("collections", "OrderedDict") + "](](" + made::text("a") +
           std::string("q\0", 2) + "K\1e](" + made::text("b") + std::string("h\0ee", 4) + "\x85R");
  std::string seen;
  pickle.for_each(pickle.root(), [&](Pickle::Id key, Pickle::Id value) {
    seen += std::string(pickle.text(key)) + (pickle.kind(value) == Pickle::Kind::text
                                                 ? std::string(pickle.text(value))
                                                 : std::to_string(pickle[value].integer));
    return true;
  });
  CHECK(seen == "a1ba");
}

TEST_CASE("pickle: every opcode outside the set is refused, and nothing is executed") {
  const std::string known =
      "(.JKMNQRTUXabc}ehj]qrst)uG\x80\x85\x86\x87\x88\x89\x8a\x8c\x8d\x93\x94\x95";
  for (int op = 0; op < 256; ++op) {
    if (known.find(char(op)) != std::string::npos) continue;
    CAPTURE(op);
    CHECK(refused(std::string{'N', char(op)}).find("opcode " + std::to_string(op)) !=
          std::string::npos);
  }
}

TEST_CASE("pickle: every opcode alone, on an empty stack, ends in words") {
  for (int op = 0; op < 256; ++op) {
    for (const std::string& before : {std::string(), std::string("("), std::string("N"),
                                      std::string("(N"), std::string("}(N"), std::string("NNN")}) {
      CAPTURE(op, before);
      const std::string body = before + std::string(1, char(op));
      const std::vector<char> copy(body.begin(), body.end());
      // No STOP behind: every one of these must throw, unless it is STOP itself.
      if (char(op) == '.' && before == "N") continue;
      CHECK_THROWS_AS(Pickle(std::as_bytes(std::span<const char>(copy.data(), copy.size())), "f"),
                      Error);
    }
  }
}

TEST_CASE("pickle: foreign globals are named and not called") {
  CHECK_THAT(refused(made::global("os", "system") + "(" + made::text("true") + "tR"),
             Catch::Contains("'os.system'") && Catch::Contains("nothing was executed"));
  CHECK_THAT(refused(made::text("posix") + made::text("system") + "\x93"),
             Catch::Contains("'posix.system'"));
  CHECK_THAT(refused(made::global("torch", "load")), Catch::Contains("'torch.load'"));
  CHECK_THAT(refused("}N\x85R"), Catch::Contains("REDUCE of something other"));
  CHECK_THAT(refused(made::global("torch", "FloatStorage") + ")R"),
             Catch::Contains("REDUCE of a storage type"));
  CHECK_THAT(refused("]}b"), Catch::Contains("BUILD of something other than a dict"));
}

TEST_CASE("pickle: sizes that lie are refused before they are used") {
  CHECK_THAT(refused("X\xff\xff\xff\xff"), Catch::Contains("a text of 4294967295 bytes"));
  CHECK_THAT(refused("\x8d" + made::le(~uint64_t(0))), Catch::Contains("bytes where"));
  CHECK_THAT(refused("Nr\xff\xff\xff\xff"), Catch::Contains("memo number 4294967295"));
  CHECK_THAT(refused("h\x07"), Catch::Contains("memo number 7 was never stored"));
  CHECK_THAT(refused("t"), Catch::Contains("without a MARK"));
  CHECK_THAT(refused("N(\x85"), Catch::Contains("TUPLE needs 1 values, the stack has 0"));
  CHECK_THAT(refused("NN"), Catch::Contains("STOP needs one value"));
  CHECK_THAT(refused("\x80\x09"), Catch::Contains("protocol 9"));
}

TEST_CASE("pickle: a megabyte of nesting neither recurses nor takes long") {
  // Lists in lists, tuples in tuples, marks: linear in the size, no stack of ours used.
  for (const std::string& unit : {std::string("]a"), std::string("\x85"), std::string("(")}) {
    std::string body = "]";
    if (unit == "]a") {
      body = std::string(500000, ']') + std::string(499999, 'a');
    } else {
      while (body.size() < 1000000) body += unit;
    }
    const std::string result = refused(body);
    CHECK((result.empty() || unit == "("));
  }
}

}  // namespace fathom
