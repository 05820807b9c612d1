#include "train/checkpoint.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "core/file.h"
#include "kernels/elementwise.h"
#include "models/load.h"
#include "models/save.h"
#include "tests/child.h"
#include "tests/models/tiny_model.h"
#include "tests/scratch.h"
#include "tests/testing.h"

namespace fathom {

namespace fs = std::filesystem;
using Catch::Contains;

static RunState some_state(int64_t step = 3) {
  return {.stage = "teacher",
          .step = step,
          .seed = 18446744073709551615u,
          .positions = {{"labeled", 24}, {"unlabeled", 48}},
          .numbers = {{"best", 0.1 + 0.2}, {"skipped", 1}},
          .config = "{\n  \"seed\": 1\n}\n",
          .code = "0.1.0 (test)"};
}

static std::vector<StateTensor> some_tensors(uint64_t seed) {
  return {{"model.a", random_tensor({3, 5}, {}, seed)},
          {"model.conv", random_tensor({2, 5, 3, 4}, {}, seed + 1), AxisOrder::conv},
          {"model.up", random_tensor({2, 5, 3, 4}, {}, seed + 4), AxisOrder::conv_transpose},
          {"optimizer.a.exp_avg", random_tensor({3, 5}, {DType::f64, kCpu}, seed + 2)},
          {"model.half", random_tensor({7}, {DType::bf16, kCpu}, seed + 3)}};
}

static std::string bytes_of(const fs::path& path) { return read_text(path); }

static void write_bytes(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST_CASE("checkpoint: state and tensors come back bit for bit, whatever their axes and dtype") {
  const ScratchFolder scratch("checkpoint");
  const fs::path path = scratch.path / "a.safetensors";
  const std::vector<StateTensor> saved = some_tensors(1);
  write_checkpoint(path, some_state(), saved, {{"fathom.kind", "relative"}});
  const Checkpoint checkpoint = read_checkpoint(path);
  CHECK(checkpoint.state == some_state());
  CHECK(checkpoint.archive.metadata.at("fathom.kind") == "relative");
  CHECK(checkpoint.archive.at("model.conv").shape == Shape{2, 4, 5, 3});  // as published
  for (const StateTensor& tensor : saved)
    CHECK(same_bits(read_tensor(checkpoint, tensor.name, tensor.order), tensor.tensor));
  CHECK_THROWS_WITH(read_tensor(checkpoint, "model.b"), Contains("model.b"));
}

TEST_CASE("checkpoint: torn or changed at any byte, it is refused") {
  const ScratchFolder scratch("checkpoint");
  const fs::path path = scratch.path / "a.safetensors", damaged = scratch.path / "b.safetensors";
  write_checkpoint(path, some_state(), std::vector<StateTensor>{{"x", random_tensor({3})}});
  const std::string bytes = bytes_of(path);
  REQUIRE(bytes.size() < 2000);
  for (size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    write_bytes(damaged, bytes.substr(0, length));
    CHECK_THROWS_AS(read_checkpoint(damaged), Error);
  }
  // Blanks behind the header carry no meaning; a changed one either is no JSON or changes nothing.
  const size_t header_end = bytes.find_last_of('}') + 1;
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (at >= header_end && at < 8 + header) continue;
    for (const int bit : {0, 3, 7}) {
      CAPTURE(at, bit);
      std::string changed = bytes;
      changed[at] = char(changed[at] ^ (1 << bit));
      write_bytes(damaged, changed);
      CHECK_THROWS_AS(read_checkpoint(damaged), Error);
    }
  }
}

TEST_CASE("checkpoint: other files are refused by what they lack") {
  const ScratchFolder scratch("checkpoint");
  const fs::path path = scratch.path / "model.safetensors";
  save_model(path, tiny_model(), 2);
  CHECK_THROWS_WITH(read_checkpoint(path), Contains("not a checkpoint of a training run"));
  CHECK_THROWS_WITH(read_checkpoint(scratch.path / "none"), Contains("No such file"));
}

TEST_CASE("checkpoint: is a model that inference loads") {
  const ScratchFolder scratch("checkpoint");
  const fs::path path = scratch.path / "step.safetensors";
  DepthAnything model = tiny_model(DepthKind::metric);
  std::vector<StateTensor> tensors;
  for_each_parameter(model, [&](const std::string& name, Tensor& t, AxisOrder order) {
    tensors.push_back({"model." + name, t, order});
    tensors.push_back({"optimizer." + name + ".exp_avg", scale(t.detach(), 2), order});
  });
  write_checkpoint(path, some_state(), tensors, model_metadata(model, 2));
  const LoadedModel loaded = load_model(path);
  CHECK(loaded.model.config == model.config);
  const NoGrad no_grad;
  CHECK(same_bits(loaded.model(hash_input(28, 42)), model(hash_input(28, 42))));
}

static std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

TEST_CASE("checkpoint folder: keeps the last ones and the best, and sweeps what was torn") {
  const ScratchFolder scratch("checkpoint");
  CheckpointFolder folder(scratch.path / "c", 2);
  write_bytes(scratch.path / "c" / "step-000000001.safetensors.tmp-1-0", "half");
  for (const int64_t step : {1, 2, 3, 4})
    folder.save(some_state(step), some_tensors(1), {}, step == 2);
  CHECK(names_in(scratch.path / "c") == std::vector<std::string>{"best.safetensors",
                                                                 "step-000000003.safetensors",
                                                                 "step-000000004.safetensors"});
  CHECK(read_checkpoint(folder.best_path()).state.step == 2);
  CHECK(folder.newest().path == folder.path_of(4));
  CHECK(folder.newest().rejected.empty());
}

TEST_CASE("checkpoint folder: a damaged newest one is named and the previous one taken") {
  const ScratchFolder scratch("checkpoint");
  CheckpointFolder folder(scratch.path, 3);
  CHECK(!folder.newest().path);
  for (const int64_t step : {10, 20, 30}) folder.save(some_state(step), some_tensors(1), {}, false);
  fs::resize_file(folder.path_of(30), fs::file_size(folder.path_of(30)) / 2);
  CheckpointFolder::Found found = folder.newest();
  CHECK(found.path == folder.path_of(20));
  REQUIRE(found.rejected.size() == 1);
  CHECK_THAT(found.rejected[0], Contains("step-000000030.safetensors"));
  // Numbers beyond nine digits sort by value.
  folder.save(some_state(1'000'000'000), some_tensors(1), {}, false);
  CHECK(folder.newest().path == folder.path_of(1'000'000'000));
}

TEST_CASE("checkpoint folder: a disk that fills up is reported and the previous one stays") {
  const ScratchFolder scratch("checkpoint");
  CheckpointFolder folder(scratch.path, 3);
  folder.save(some_state(1), some_tensors(1), {}, false);
  const ChildResult child = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);  // so that write() fails, as on a full disk
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    folder.save(some_state(2), some_tensors(2), {}, false);
  });
  CHECK(child.status == 1);
  CHECK_THAT(child.output, Contains("step-000000002.safetensors: cannot write"));
  CHECK(names_in(scratch.path) == std::vector<std::string>{"step-000000001.safetensors"});
  CHECK(folder.newest().path == folder.path_of(1));
}

}  // namespace fathom
