// Images per second of the data loader, and where a thread's time goes, stage by stage.
//   fathom_loader_bench MANIFEST [SIDE] [WORKERS]
// The manifest is labeled; its images are read again and again, so they come from memory.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

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

// Milliseconds a call: the median of 7 rounds over all entries.
static double measure(const char* name, int64_t entries, const std::function<void(int64_t)>& f) {
  std::vector<double> times_ms;
  for (int round = 0; round < 8; ++round) {  // the first one warms up
    const double start = thread_s();
    for (int64_t i = 0; i < entries; ++i) f(i);
    if (round > 0) times_ms.push_back((thread_s() - start) * 1e3 / double(entries));
  }
  std::ranges::sort(times_ms);
  std::printf("  %-34s %7.3f ms\n", name, times_ms[times_ms.size() / 2]);
  return times_ms[times_ms.size() / 2];
}

static void profile(const Manifest& manifest, int64_t side) {
  const int64_t count = std::min<int64_t>(manifest.size(), 8);
  std::vector<ManifestEntry> entries;
  std::vector<Image8> photos;
  std::vector<DepthMap> labels;
  std::vector<FloatMap> stored;
  for (int64_t i = 0; i < count; ++i) {
    entries.push_back(manifest.entry(i));
    photos.push_back(load_image(manifest.files(), entries.back()));
    labels.push_back(load_depth(manifest.files(), entries.back(), DepthTarget::inverse_depth));
    stored.push_back(read_map(manifest.files().open(entries.back().depth).bytes, "label"));
  }
  const size_t pixels = size_t(side * side);
  std::vector<float> rgb(3 * pixels), values(pixels);
  const auto mask = std::make_unique<bool[]>(pixels);
  const auto window = [&](int64_t i) {
    return draw_window({photos[size_t(i)].height, photos[size_t(i)].width}, side, {}, {1, 0, i});
  };
  std::printf("one thread, photos of %d x %d, crops of %d x %d:\n", photos[0].width,
              photos[0].height, int(side), int(side));
  double labeled = 0;
  labeled += measure("decode the photo", count,
                     [&](int64_t i) { load_image(manifest.files(), entries[size_t(i)]); });
  labeled += measure("decode the label", count, [&](int64_t i) {
    read_map(manifest.files().open(entries[size_t(i)].depth).bytes, "label");
  });
  labeled += measure("label to inverse depth", count, [&](int64_t i) {
    depth_map(stored[size_t(i)], entries[size_t(i)].format, DepthTarget::inverse_depth);
  });
  labeled += measure("resize, crop and flip the photo", count,
                     [&](int64_t i) { resize_crop(photos[size_t(i)], window(i), rgb); });
  labeled += measure("resize, crop and flip the label", count, [&](int64_t i) {
    resize_crop(labels[size_t(i)], window(i), values, {mask.get(), pixels});
  });
  labeled += measure("normalise", count, [&](int64_t) { normalize(rgb); });
  std::printf("  %-34s %7.3f ms: %.0f images/s\n", "labeled sample", labeled, 1e3 / labeled);
  const AugmentSection always{.jitter = 1, .blur = 1};
  measure("colour jitter and blur, if drawn", count, [&](int64_t i) {
    perturb(draw_perturbation(always, {1, 0, i}), rgb, side, side);
  });
  const double perturbed = measure("colour jitter and blur, on average", count, [&](int64_t i) {
    for (int64_t draw = 0; draw < 8; ++draw)
      perturb(draw_perturbation({}, {1, draw, i}), rgb, side, side);
  });
  std::printf("  (of 8 draws: %.3f ms a sample)\n", perturbed / 8);
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
  std::printf("loader, %d worker(s)%s: %.0f images/s\n", int(workers),
              perturbed ? ", perturbed" : "", 16 * kBatches / took.count());
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
    fathom::profile(fathom::Manifest(argv[1]), side);
    for (const bool perturbed : {false, true})
      fathom::run_loader(argv[1], side, workers, perturbed);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fathom_loader_bench: %s\n", error.what());
    return 1;
  }
}
