#include "train/synth/dataset.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/png.h"

namespace fathom::synth {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string file_name(uint64_t index) {
  char name[32];
  std::snprintf(name, sizeof name, "%08llu.png", static_cast<unsigned long long>(index));
  return name;
}

// Not synced: that would take ten times as long as the rendering. Nothing names the file before all
// are synced at once, and the same command writes it again.
void write_file(const fs::path& path, std::span<const std::byte> bytes) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  file.close();
  check(file.good(), path.string(), ": cannot write: ", std::strerror(errno));
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::syncfs(descriptor) == 0;
  const int reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  check(synced, folder.string(), ": cannot sync to disk: ", std::strerror(reason));
}

void write_scene(const SceneSet& set, uint64_t index) {
  SynthImage scene = render_scene(set.scenes, index);
  const MapView depth{scene.height, scene.width, scene.depth_m};
  const fs::path map = set.folder / "depth" / file_name(index),
                 photo = set.folder / "rgb" / file_name(index);
  // Infinity becomes the largest integer, kStoredSky; kFarthestM is below it.
  write_file(map, encode_png(store(depth, {.scale = kStoredDepthM}).image, map.string()));
  const Image8 picture{int(scene.height), int(scene.width), 3, std::move(scene.rgb)};
  write_file(photo, encode_png(picture, photo.string()));
}

const char* name_of(Domain domain) { return domain == Domain::real ? "synth-real" : "synth"; }

void write_manifest(const SceneSet& set, const char* name, bool labeled) {
  AtomicFile file(set.folder / name);
  for (int64_t i = 0; i < set.count; ++i) {
    const std::string photo = file_name(set.first + uint64_t(i));
    Json line{{"image", "rgb/" + photo}};
    if (labeled) {
      line["depth"] = "depth/" + photo;
      line["kind"] = "depth";
      line["scale"] = kStoredDepthM;
      line["unit"] = "m";
      line["sky_values"] = kStoredSky;
    }
    line["dataset"] = name_of(set.scenes.domain);
    line["split"] = set.split;
    file.write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, folder.string(), ": cannot create the folder: ", error.message());
}

}  // namespace

SceneSetReport write_scenes(const SceneSet& set, const SceneSetHooks& hooks) {
  check(set.count > 0, "write_scenes: count must be at least 1, but is ", set.count);
  check(!set.split.empty(), "write_scenes: the split needs a name, such as train");
  check(can_write_png(), "this build has no libpng; install libpng-dev and build again");
  for (const char* name : {"manifest.jsonl", "unlabeled.jsonl"})
    check(!fs::exists(set.folder / name), (set.folder / name).string(),
          " exists already; name another folder, or remove that one");
  make_folder(set.folder / "rgb");
  make_folder(set.folder / "depth");

  const auto start = std::chrono::steady_clock::now();
  SceneSetReport report{.count = set.count};
  constexpr int64_t kGroup = 64;  // between two looks at `stop`
  while (report.written < set.count) {
    report.stopped = hooks.stop && *hooks.stop;
    if (report.stopped) return report;
    const int64_t group = std::min(kGroup, set.count - report.written);
    parallel_for(group, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        write_scene(set, set.first + uint64_t(report.written + i));
    });
    report.written += group;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    report.seconds = passed.count();
    if (hooks.on_progress) hooks.on_progress(report);
  }
  // A part of the set would pass for all of it: the manifests appear when it is complete.
  sync_folder(set.folder);
  write_manifest(set, "unlabeled.jsonl", false);
  write_manifest(set, "manifest.jsonl", true);
  return report;
}

}  // namespace fathom::synth
