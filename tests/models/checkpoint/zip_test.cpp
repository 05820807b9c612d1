#include "models/checkpoint/zip.h"

#include "models/checkpoint/bytes.h"
#include "tests/models/checkpoint/made_files.h"

namespace fathom {

TEST_CASE("zip: finds records by name, with and without ZIP64") {
  const bool zip64 = GENERATE(false, true);
  const std::string file =
      made::Zip{{{"m/data.pkl", "first"}, {"m/data/0", std::string(1000, 'x')}, {"m/e", ""}}, zip64}
          .build();
  const ZipDirectory zip(made::bytes_of(file), "f");
  CHECK(zip.first_name() == "m/data.pkl");
  CHECK(zip.records().size() == 3);
  CHECK(as_text(zip.read(*zip.find("m/data.pkl"))) == "first");
  CHECK(as_text(zip.read(*zip.find("m/data/0"))) == std::string(1000, 'x'));
  CHECK(zip.read(*zip.find("m/e")).empty());
  CHECK(zip.find("m/data") == nullptr);
  // Data is aligned, which the local extra field alone knows.
  CHECK((zip.read(*zip.find("m/data/0")).data() - made::bytes_of(file).data()) % 64 == 0);
}

TEST_CASE("zip: refuses twins and compressed records") {
  const std::string twins = made::Zip{{{"m/a", "1"}, {"m/a", "2"}}}.build();
  CHECK_THROWS_WITH(ZipDirectory(made::bytes_of(twins), "f"),
                    Catch::Contains("two records named 'm/a'"));
  const std::string deflated = made::Zip{{{"m/a", "1"}}, true, 8}.build();
  const ZipDirectory zip(made::bytes_of(deflated), "f");
  CHECK_THROWS_WITH(zip.read(*zip.find("m/a")), Catch::Contains("compressed (method 8)"));
}

}  // namespace fathom
