#include "train/data/loader.h"

#include "tests/pictures.h"
#include "tests/testing.h"
#include "tests/train/data/folder.h"

namespace fathom {

// Photos of 20 x 30 pixels and labels of 40 x 60, all different; entry 3 has a photo cut short.
static void fill(const Folder& folder, int count, bool corrupt) {
  std::string manifest, unlabeled;
  for (int i = 0; i < count; ++i) {
    Image8 photo{.height = 20, .width = 30};
    for (int p = 0; p < 20 * 30 * 3; ++p) photo.pixels.push_back(uint8_t(p * (i + 3) / 7 + i));
    const std::string stem = std::to_string(i);
    write_ppm(folder.path / (stem + ".ppm"), photo);
    std::string label = "P5 60 40 255\n";
    for (int p = 0; p < 60 * 40; ++p) label += char(p * (i + 1) / 5 % 250);
    folder.write(stem + ".pgm", label);
    if (i == 3 && corrupt) folder.write(stem + ".ppm", "P6 30 20 255\n short");
    manifest += R"({"image": ")" + stem + R"(.ppm", "depth": ")" + stem +
                R"(.pgm", "kind": "disparity", "invalid": 0})" + "\n";
    unlabeled += R"({"image": ")" + stem + ".ppm\"}\n";
  }
  folder.write("labeled.jsonl", manifest);
  folder.write("unlabeled.jsonl", unlabeled);
}

struct DataSet : Folder {
  DataSet(const std::string& name, int count, bool corrupt = true) : Folder(name) {
    fill(*this, count, corrupt);
  }
};

static LoaderOptions options_for(const Folder& folder) {
  return {.manifests = {folder.path / "labeled.jsonl"},
          .side = 14,
          .batch = 3,
          .perturb = true,
          .seed = 5,
          .workers = 1,
          .max_bad_rate = 1};
}

static void check_same(const LoaderBatch& a, const LoaderBatch& b) {
  CHECK(same_bits(a.image, b.image));
  CHECK(same_bits(a.target, b.target));
  CHECK(same_bits(a.mask, b.mask));
  REQUIRE(a.ids.size() == b.ids.size());
  for (size_t i = 0; i < a.ids.size(); ++i) CHECK(a.ids[i].sample == b.ids[i].sample);
}

TEST_CASE("loader: shapes, types, and values where they belong") {
  const DataSet folder("loader", 7);
  Loader loader(options_for(folder));
  CHECK(loader.labeled());
  CHECK(loader.epoch_size() == 7);
  const LoaderBatch batch = loader.next();
  CHECK(batch.image.shape() == Shape{3, 14, 14, 3});
  CHECK(batch.target.shape() == Shape{3, 14, 14});
  CHECK(batch.mask.shape() == Shape{3, 14, 14});
  CHECK(batch.mask.dtype() == DType::boolean);
  const std::vector<double> target = values(batch.target), mask = values(batch.mask);
  for (size_t i = 0; i < target.size(); ++i) CHECK((target[i] > 0) == (mask[i] != 0));
  LoaderOptions clean = options_for(folder);
  clean.perturb = false;
  CHECK(!same_bits(batch.image, Loader(clean).next().image));
}

TEST_CASE("loader: the number of workers does not change a bit") {
  const DataSet folder("loader-workers", 7);
  LoaderOptions options = options_for(folder);
  std::vector<LoaderBatch> expected;
  {
    Loader loader(options);
    for (int i = 0; i < 12; ++i) expected.push_back(loader.next());  // five epochs
    CHECK(loader.report().skipped > 0);
  }
  for (const int64_t workers : {2, 4}) {
    options.workers = workers;
    options.queue_bytes = workers == 2 ? 1 : int64_t(1) << 20;  // one batch at a time, too
    Loader loader(options);
    for (const LoaderBatch& batch : expected) check_same(loader.next(), batch);
  }
}

TEST_CASE("loader: goes on at any batch as if it had never stopped") {
  const DataSet folder("loader-resume", 7);
  LoaderOptions options = options_for(folder);
  Loader whole(options);
  for (int i = 0; i < 5; ++i) whole.next();
  options.first_batch = 5;
  options.workers = 3;
  Loader resumed(options);
  for (int i = 0; i < 6; ++i) check_same(whole.next(), resumed.next());
}

TEST_CASE("loader: unlabeled images have no target; labeled and unlabeled do not mix") {
  const DataSet folder("loader-unlabeled", 5, false);
  LoaderOptions options = options_for(folder);
  options.manifests = {folder.path / "unlabeled.jsonl"};
  Loader loader(options);
  const LoaderBatch batch = loader.next();
  CHECK(!loader.labeled());
  CHECK(!batch.target.defined());
  CHECK(!batch.mask.defined());
  options.manifests = {folder.path / "labeled.jsonl", folder.path / "unlabeled.jsonl"};
  CHECK_THROWS_WITH(Loader(options), Catch::Contains("0 of 5 entries have a depth"));
}

TEST_CASE("loader: an epoch shows every readable sample") {
  const DataSet folder("loader-epoch", 6, false);
  LoaderOptions options = options_for(folder);
  options.batch = 6;
  Loader loader(options);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const LoaderBatch batch = loader.next();
    std::vector<int64_t> samples;
    for (const SampleId& id : batch.ids) {
      CHECK(id.epoch == epoch);
      samples.push_back(id.sample);
    }
    std::sort(samples.begin(), samples.end());
    CHECK(samples == std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  }
}

TEST_CASE("loader: corrupt samples are skipped, named and counted; too many end the run") {
  const DataSet folder("loader-corrupt", 4);
  LoaderOptions options = options_for(folder);
  options.batch = 4;
  Loader loader(options);
  for (int epoch = 0; epoch < 3; ++epoch) loader.next();
  const LoaderReport report = loader.report();
  CHECK(report.places == 12);
  CHECK(report.skipped == 3);
  REQUIRE(report.messages.size() == 1);
  CHECK_THAT(report.messages[0], Catch::Contains("3.ppm: "));

  options.max_bad_rate = 0.002;  // of at least 1000: two are forgiven
  for (const int64_t workers : {1, 4}) {
    options.workers = workers;
    Loader strict(options);
    CHECK_NOTHROW(strict.next());
    CHECK_NOTHROW(strict.next());
    CHECK_THROWS_WITH(strict.next(), Catch::Contains("3 corrupt samples among") &&
                                         Catch::Contains("rate of 0.002") &&
                                         Catch::Contains("3.ppm"));
  }
  const DataSet empty("loader-none", 4, false);
  for (int i = 0; i < 4; ++i) empty.write(std::to_string(i) + ".ppm", "P6");
  options = options_for(empty);
  Loader hopeless(options);
  CHECK_THROWS_WITH(hopeless.next(), Catch::Contains("no readable sample among 4 in a row"));
}

TEST_CASE("loader: the queue stays within its bytes") {
  const DataSet folder("loader-memory", 5, false);
  LoaderOptions options = options_for(folder);
  options.workers = 4;
  // Image, target and mask: 12 + 4 + 1 bytes a pixel.
  const int64_t batch_bytes = 3 * 14 * 14 * 17;
  options.queue_bytes = 3 * batch_bytes + batch_bytes / 2;
  Loader loader(options);
  for (int i = 0; i < 40; ++i) loader.next();
  CHECK(loader.report().peak_bytes <= options.queue_bytes);
  CHECK(loader.report().peak_bytes >= batch_bytes);
  options.queue_bytes = 1;  // one batch is the least
  Loader tight(options);
  for (int i = 0; i < 10; ++i) tight.next();
  CHECK(tight.report().peak_bytes == batch_bytes);
}

TEST_CASE("loader: ends while its workers are busy, and says what is wrong") {
  const DataSet folder("loader-end", 5, false);
  LoaderOptions options = options_for(folder);
  options.workers = 4;
  for (int i = 0; i < 5; ++i) Loader abandoned(options);
  options.batch = 0;
  CHECK_THROWS_WITH(Loader(options), Catch::Contains("batch 0"));
  options = options_for(folder);
  options.manifests = {};
  CHECK_THROWS_WITH(Loader(options), Catch::Contains("no manifest"));
}

TEST_CASE("loader: a label of another shape than its photo is corrupt") {
  const DataSet folder("loader-ratio", 1, false);
  folder.write("0.pgm", "P5 20 40 255\n" + std::string(800, 'x'));
  Loader loader(options_for(folder));
  CHECK_THROWS_WITH(loader.next(), Catch::Contains("a label of 20 x 40 for a photo of 30 x 20"));
}

}  // namespace fathom
