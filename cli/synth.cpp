#include <charconv>
#include <cstdio>
#include <limits>

#include "cli/command.h"
#include "cli/signals.h"
#include "cli/status_line.h"
#include "core/parallel.h"
#include "train/synth/dataset.h"

namespace fathom::cli {
namespace {

struct Arguments {
  std::string out, size = "98x98", domain = "labeled", split = "train";
  int64_t count = 0, seed = 0, first = 0;
  int threads = 0;
  bool quiet = false;
};

constexpr int64_t kSmallest = 16, kLargest = 4096;  // sides of a picture
constexpr int64_t kMostScenes = 100'000'000;

// WxH; what is wrong with it, or "".
std::string read_size(const std::string& text, int64_t& width, int64_t& height) {
  const char *at = text.data(), *end = at + text.size();
  const auto number = [&](int64_t& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    at = next;
    return error == std::errc{} && value >= kSmallest && value <= kLargest;
  };
  const bool good = number(width) && at != end && *at++ == 'x' && number(height) && at == end;
  return good ? ""
              : "'" + text + "' is not WIDTHxHEIGHT, such as 98x98, with sides from " +
                    std::to_string(kSmallest) + " to " + std::to_string(kLargest);
}

std::string text_of(const synth::SceneSetReport& r) {
  char text[120];
  std::snprintf(text, sizeof text, "%lld/%lld scenes, %.1f scenes/s",
                static_cast<long long>(r.written), static_cast<long long>(r.count),
                r.seconds > 0 ? double(r.written) / r.seconds : 0);
  return text;
}

int synthesize(const Arguments& arguments) {
  synth::SceneSet set{.folder = arguments.out,
                      .first = uint64_t(arguments.first),
                      .count = arguments.count,
                      .split = arguments.split};
  read_size(arguments.size, set.scenes.width, set.scenes.height);
  set.scenes.domain = arguments.domain == "real" ? synth::Domain::real : synth::Domain::labeled;
  set.scenes.seed = uint64_t(arguments.seed);
  if (arguments.threads > 0) set_thread_count(arguments.threads);
  StatusLine line(arguments.quiet);
  const synth::SceneSetReport report = synth::write_scenes(
      set, {.stop = &stop_on_signal(),
            .on_progress = [&](const synth::SceneSetReport& r) { line.update(text_of(r)); }});
  line.update(text_of(report), true);
  line.finish();
  if (report.stopped) {
    line.note("stopped by a signal; no manifest was written");
    return signal_status();
  }
  if (!arguments.quiet)
    std::printf("%lld scenes; %s\n", static_cast<long long>(report.written),
                (set.folder / "manifest.jsonl").c_str());
  return 0;
}

}  // namespace

void add_synth(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "synth", "Render rooms, landscapes and streets with exact depth, to train and test with");
  const auto a = std::make_shared<Arguments>();
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  command
      ->add_option("--out", a->out,
                   "Folder for rgb/, depth/ (16-bit PNG, 1/256 m, sky 65535), manifest.jsonl and "
                   "unlabeled.jsonl")
      ->required()
      ->check([](const std::string& text) { return text.empty() ? "the folder needs a name" : ""; },
              "FOLDER");
  command->add_option("--count", a->count, "Number of scenes")
      ->required()
      ->check(CLI::Range(int64_t(1), kMostScenes));
  command->add_option("--size", a->size, "Width and height in pixels (default: 98x98)")
      ->check(
          [](const std::string& text) {
            int64_t width = 0, height = 0;
            return read_size(text, width, height);
          },
          "WxH");
  command
      ->add_option("--domain", a->domain,
                   "labeled: clean pictures (default); real: other textures and light, blur, "
                   "noise, colour cast, vignette")
      ->check(CLI::IsMember({"labeled", "real"}));
  command
      ->add_option("--seed", a->seed,
                   "Scenes of another seed are others; the same seed and number give the same "
                   "scene (default: 0)")
      ->check(CLI::Range(int64_t(0), kMost));
  command->add_option("--first", a->first, "Number of the first scene (default: 0)")
      ->check(CLI::Range(int64_t(0), kMost - kMostScenes));
  command->add_option("--split", a->split, "Split that the manifest names (default: train)")
      ->check([](const std::string& text) { return text.empty() ? "the split needs a name" : ""; },
              "NAME");
  command->add_option("--threads", a->threads, "CPU threads (default: FATHOM_THREADS or all)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--quiet", a->quiet, "No progress");
  command->callback([a, &action] { action = [a] { return synthesize(*a); }; });
}

}  // namespace fathom::cli
