// Images per second of the data loader, and where a thread's time goes, stage by stage.
//   fathom_loader_bench MANIFEST [SIDE] [WORKERS]
// The manifest is labeled; its images are read again and again, so they come from memory.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "core/heap.h"
#include "train/data/augment.h"
#include "train/data/loader.h"
#include "train/data/map_file.h"
#include "train/data/sample.h"

namespace fathom {

// The time this thread ran, which other processes disturb less than wall time.
static double thread_s() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

namespace {
// The stages of a sample, each the median of 15 rounds over all entries.
class Profile {
 public:
  explicit Profile(int64_t entries) : entries_(entries) {}

  // Milliseconds a call of f(entry).
  double time(const std::function<void(int64_t)>& f) const {
    std::vector<double> times_ms;
    for (int round = 0; round < 16; ++round) {  // the first one warms up
      const double start = thread_s();
      for (int64_t i = 0; i < entries_; ++i) f(i);
      if (round > 0) times_ms.push_back((thread_s() - start) * 1e3 / double(entries_));
    }
    std::ranges::sort(times_ms);
    return times_ms[times_ms.size() / 2];
  }

  void add(const char* name, double time_ms) { stages_.emplace_back(name, time_ms); }

  void print(const char* title) const {
    double total = 0;
    for (const auto& [name, time_ms] : stages_) total += time_ms;
    std::printf("%s: %.3f ms, %.0f images/s a core\n", title, total, 1e3 / total);
    for (const auto& [name, time_ms] : stages_)
      std::printf("  %-40s %7.3f ms  %5.1f%%\n", name.c_str(), time_ms, 100 * time_ms / total);
  }

 private:
  int64_t entries_;
  std::vector<std::pair<std::string, double>> stages_;
};
}  // namespace

static void profile(const Manifest& manifest, int64_t side) {
  const int64_t count = std::min<int64_t>(manifest.size(), 8);
  const FileStore& files = manifest.files();
  std::vector<ManifestEntry> entries;
  std::vector<Image8> photos;
  std::vector<DepthMap> labels;
  std::vector<FloatMap> stored;
  for (int64_t i = 0; i < count; ++i) {
    entries.push_back(manifest.entry(i));
    photos.push_back(load_image(files, entries.back()));
    labels.push_back(load_depth(files, entries.back(), DepthTarget::inverse_depth));
    stored.push_back(read_map(files.open(entries.back().depth).bytes, "label"));
  }
  const size_t pixels = size_t(side * side);
  std::vector<float> rgb(3 * pixels), values(pixels);
  const auto mask = std::make_unique<bool[]>(pixels);
  const auto window = [&](int64_t i) {
    return draw_window({photos[size_t(i)].height, photos[size_t(i)].width}, side, {}, {1, 0, i});
  };
  std::printf("%d photos of %d x %d, crops of %d x %d, one thread\n", int(count), photos[0].width,
              photos[0].height, int(side), int(side));
  Profile labeled(count), unlabeled(count);
  const double photo_ms = labeled.time([&](int64_t i) { load_image(files, entries[size_t(i)]); });
  const double resize_ms =
      labeled.time([&](int64_t i) { resize_crop(photos[size_t(i)], window(i), rgb, kImageNet); });
  labeled.add("decode the photo", photo_ms);
  labeled.add("decode the label", labeled.time([&](int64_t i) {
    read_map(files.open(entries[size_t(i)].depth).bytes, "label");
  }));
  const double copy_ms = labeled.time([&](int64_t i) { FloatMap copy = stored[size_t(i)]; });
  labeled.add("label to inverse depth", labeled.time([&](int64_t i) {
    depth_map(stored[size_t(i)], entries[size_t(i)].format, DepthTarget::inverse_depth);
  }) - copy_ms);
  labeled.add("resize, crop, flip, normalise the photo", resize_ms);
  labeled.add("resize, crop, flip the label", labeled.time([&](int64_t i) {
    resize_crop(labels[size_t(i)], window(i), values, {mask.get(), pixels});
  }));
  labeled.print("labeled sample");

  unlabeled.add("decode the photo", photo_ms);
  unlabeled.add("resize, crop, flip the photo",
                unlabeled.time([&](int64_t i) { resize_crop(photos[size_t(i)], window(i), rgb); }));
  // Of what is drawn: averages over 32 draws a photo.
  const auto perturbed_ms = [&](const AugmentSection& augment) {
    return unlabeled.time([&](int64_t i) {
      for (int64_t draw = 0; draw < 4; ++draw)
        perturb(draw_perturbation(augment, {1, draw, i}), rgb, side, side);
    }) / 4;
  };
  unlabeled.add("augment: colour jitter, as often as drawn", perturbed_ms({.blur = 0}));
  unlabeled.add("augment: blur, as often as drawn", perturbed_ms({.jitter = 0}));
  unlabeled.add("normalise", unlabeled.time([&](int64_t) { normalize(rgb); }));
  unlabeled.print("unlabeled sample, perturbed");
}

static void run_loader(const char* manifest, int64_t side, int64_t workers, bool perturbed) {
  Loader loader({.manifests = {manifest},
                 .side = side,
                 .batch = 16,
                 .perturb = perturbed,
                 .workers = workers,
                 .queue_bytes = 256 << 20});
  for (int i = 0; i < 4; ++i) loader.next();
  const auto start = std::chrono::steady_clock::now();
  constexpr int kBatches = 100;
  for (int i = 0; i < kBatches; ++i) loader.next();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("loader, %d worker(s), labeled%s: %.0f images/s\n", int(workers),
              perturbed ? " and perturbed" : "", 16 * kBatches / took.count());
}

}  // namespace fathom

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s MANIFEST [SIDE] [WORKERS]\n", argv[0]);
    return 2;
  }
  const int64_t side = argc > 2 ? std::atoll(argv[2]) : 518;
  const int64_t workers = argc > 3 ? std::atoll(argv[3]) : 1;
  try {
    fathom::keep_freed_memory();  // as the loader does
    fathom::profile(fathom::Manifest(argv[1]), side);
    for (const bool perturbed : {false, true})
      fathom::run_loader(argv[1], side, workers, perturbed);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fathom_loader_bench: %s\n", error.what());
    return 1;
  }
}
