#include "train/synth/dataset.h"

#include "core/file.h"
#include "core/parallel.h"
#include "core/png.h"
#include "tests/scratch.h"
#include "tests/testing.h"
#include "train/data/sample.h"

namespace fathom::synth {

static SceneSet small_set(const std::filesystem::path& folder) {
  return {.folder = folder,
          .scenes = {.height = 20, .width = 24, .seed = 4},
          .first = 7,
          .count = 6,
          .split = "val"};
}

TEST_CASE("synth dataset: the manifest leads back to photos and depth") {
  if (!can_write_png()) return;
  const ScratchFolder scratch("synth");
  const SceneSet set = small_set(scratch.path / "new" / "set");
  CHECK(write_scenes(set).written == 6);
  const Manifest manifest(set.folder / "manifest.jsonl", "val");
  REQUIRE(manifest.size() == 6);
  CHECK(manifest.labeled() == 6);
  int64_t sky = 0;
  for (int64_t i = 0; i < 6; ++i) {
    const SynthImage scene = render_scene(set.scenes, 7 + uint64_t(i));
    const ManifestEntry entry = manifest.entry(i);
    CHECK(entry.dataset == "synth");
    CHECK(load_image(manifest.files(), entry).pixels == scene.rgb);
    const DepthMap metres = load_depth(manifest.files(), entry, DepthTarget::metres),
                   inverse = load_depth(manifest.files(), entry, DepthTarget::inverse_depth);
    for (size_t p = 0; p < scene.depth_m.size(); ++p) {
      const bool seen = std::isfinite(scene.depth_m[p]);
      sky += !seen;
      CHECK(metres.mask[p] == seen);
      CHECK(inverse.mask[p] == 1);
      // Half a step of the file.
      if (seen) CHECK(std::abs(metres.values[p] - scene.depth_m[p]) < 1.001f / 512);
      if (!seen) CHECK(inverse.values[p] == 0);
    }
  }
  CHECK(sky > 0);
  const Manifest photos(set.folder / "unlabeled.jsonl");
  CHECK(photos.size() == 6);
  CHECK(photos.labeled() == 0);
  CHECK(photos.entry(2).image == manifest.entry(2).image);
}

TEST_CASE("synth dataset: the same files with any number of threads") {
  if (!can_write_png()) return;
  const ScratchFolder scratch("synth-threads");
  SceneSet one = small_set(scratch.path / "one"), many = small_set(scratch.path / "many");
  one.scenes.domain = many.scenes.domain = Domain::real;
  const int threads = thread_count();
  set_thread_count(1);
  write_scenes(one);
  set_thread_count(3);
  write_scenes(many);
  set_thread_count(threads);
  for (const char* name : {"manifest.jsonl", "rgb/00000007.png", "depth/00000012.png"})
    CHECK(read_text(one.folder / name) == read_text(many.folder / name));
}

TEST_CASE("synth dataset: a folder that holds a set is left alone") {
  if (!can_write_png()) return;
  const ScratchFolder scratch("synth-twice");
  const SceneSet set = small_set(scratch.path);
  write_scenes(set);
  CHECK_THROWS_WITH(write_scenes(set), Catch::Contains("manifest.jsonl exists already"));
}

TEST_CASE("synth dataset: a stopped run leaves no manifest, and can be run again") {
  if (!can_write_png()) return;
  const ScratchFolder scratch("synth-stop");
  const SceneSet set = small_set(scratch.path);
  const std::atomic<bool> stop{true};
  CHECK(write_scenes(set, {.stop = &stop}).stopped);
  CHECK(!std::filesystem::exists(set.folder / "manifest.jsonl"));
  int calls = 0;
  CHECK(write_scenes(set, {.on_progress = [&](const SceneSetReport&) { ++calls; }}).written == 6);
  CHECK(calls == 1);
}

}  // namespace fathom::synth
