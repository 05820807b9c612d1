#include <iostream>
#include <optional>

#include "cli/command.h"
#include "cli/device_flags.h"
#include "cli/model_flags.h"
#include "cli/signals.h"
#include "cli/status_line.h"
#include "core/parallel.h"
#include "train/config.h"
#include "train/eval/predictions.h"
#include "train/eval/result.h"
#include "train/stages/validation.h"

namespace fathom::cli {
namespace {

struct Arguments {
  std::string config, weights, predictions, split, dataset, out;
  std::vector<std::string> overrides, manifests;
  std::optional<std::string> align, crop;
  std::optional<double> min_depth_m, cap_m;
  std::optional<int64_t> size, limit;
  double prediction_scale = 1;
  int threads = 0;
  std::string device, dtype = "auto";
  bool kb_crop = false, json = false, quiet = false;
  ModelArguments model;
};

// The configuration's word, then the data set's, then that of every flag that was given.
EvalProtocol protocol_of(const Arguments& arguments, const std::optional<TrainConfig>& config) {
  EvalProtocol protocol;
  if (config) protocol = fathom::protocol_of(config->eval, config->model.version);
  if (!arguments.dataset.empty()) apply_dataset_protocol(arguments.dataset, protocol);
  if (arguments.align) protocol.alignment = alignment_of(*arguments.align);
  if (arguments.min_depth_m) protocol.min_depth_m = *arguments.min_depth_m;
  if (arguments.cap_m) protocol.max_depth_m = *arguments.cap_m;
  if (arguments.crop) protocol.crop = crop_of(*arguments.crop);
  protocol.kb_crop |= arguments.kb_crop;
  return protocol;
}

int eval(const Arguments& arguments) {
  std::optional<TrainConfig> config;
  if (!arguments.config.empty()) config = read_config(arguments.config, arguments.overrides);
  check(config || arguments.overrides.empty(),
        "--set overrides a configuration, but none is named");

  EvalSource source;
  source.weights = arguments.weights;
  source.predictions = arguments.predictions;
  if (source.weights.empty() && source.predictions.empty() && config)
    source.weights = config->model.weights;
  check(!source.weights.empty() || !source.predictions.empty(),
        "evaluation: name a model with --weights FILE or maps with --predictions DIR");
  std::vector<std::string> manifests = arguments.manifests;
  if (manifests.empty() && config) manifests = config->data.validation;
  check(!manifests.empty(), "evaluation: name the images and their truth with --manifest FILE",
        config ? " or data.validation" : "");
  source.manifests.assign(manifests.begin(), manifests.end());

  StatusLine line(arguments.quiet);
  EvalOptions options{.protocol = protocol_of(arguments, config),
                      .split = arguments.split,
                      .limit = arguments.limit.value_or(config ? config->eval.images : 0),
                      .stop = &stop_on_signal()};
  options.on_progress = [&](int64_t done, int64_t images) {
    line.update(std::to_string(done) + "/" + std::to_string(images) + " images", done == images);
  };
  if (arguments.threads > 0) set_thread_count(arguments.threads);

  std::optional<LoadedModel> loaded;
  Predictor predict;
  if (!source.predictions.empty()) {
    options.kind = arguments.model.kind == "metric" ? DepthKind::metric : DepthKind::relative;
    predict = folder_predictor(source.predictions, options.kind, arguments.prediction_scale,
                               options.protocol.kb_crop);
  } else {
    const std::string& device = !arguments.device.empty() ? arguments.device
                                : config                  ? config->device
                                                          : "auto";
    source.device = use_device(device);
    source.dtype = inference_dtype(arguments.dtype, source.device);
    loaded = load_model(source.weights, arguments.model.flags());
    prepare_for_inference(loaded->model, source.dtype, source.device);
    source.model = loaded->title;
    source.weights_hash = loaded->weights_hash;
    source.size = arguments.size.value_or(config ? config->data.size : 518);
    options.kind = loaded->model.config.kind;
    options.protocol.resize = map_resize_of(loaded->version);
    predict = model_predictor(loaded->model, source.size, options.protocol.kb_crop);
  }

  const EvalResult result = evaluate(source.manifests, predict, options);
  line.finish();
  if (result.stopped) {
    line.note("stopped by a signal; nothing is written, as a mean over a part is not the result");
    return signal_status();
  }
  for (const SkippedImage& skipped : result.skipped)
    line.note("skipped, " + name_of(skipped.reason) + ": " + skipped.detail);
  const std::string json = result_json(result, source, options);
  if (!arguments.out.empty()) write_result(arguments.out, json, per_image_csv(result));
  if (arguments.json)
    std::cout << json;
  else
    std::cout << (loaded ? source.model + "\n" : "") << "protocol: " << describe(options.protocol)
              << "\n"
              << counts_text(result) << "\n"
              << metrics_table(result);
  return 0;
}

void add_protocol(CLI::App& command, Arguments& a) {
  command.add_option("--protocol", a.dataset,
                     "Limits and crops of a data set: nyu, kitti, ibims, sunrgbd, diml_indoor, "
                     "diml_outdoor, diode_indoor, diode_outdoor, hypersim_test, vkitti2 or ddad");
  command
      .add_option("--align", a.align,
                  "Fitted per image: disparity or depth (least squares), median, none; default "
                  "disparity")
      ->check(CLI::IsMember({"disparity", "depth", "median", "none"}));
  command.add_option("--min-depth", a.min_depth_m, "Pixels count above this; default 0.001 m")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--cap", a.cap_m, "Pixels count below this, in metres; default: no limit")
      ->check(CLI::PositiveNumber);
  command.add_option("--crop", a.crop, "none, garg, eigen_nyu or eigen_kitti; default none")
      ->check(CLI::IsMember({"none", "garg", "eigen_nyu", "eigen_kitti"}));
  command.add_flag("--kb-crop", a.kb_crop, "Cut photo and truth as KITTI's benchmark, first");
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "eval", "Compare a model, or maps it made, with true depth, and print the metrics");
  const auto a = std::make_shared<Arguments>();
  command->add_option("config", a->config,
                      "Configuration with an eval section; flags override what it says");
  command
      ->add_option("--set", a->overrides, "Override a key of it: --set eval.crop=garg (repeatable)")
      ->allow_extra_args(false);
  auto* weights = command->add_option("--weights", a->weights,
                                      "Checkpoint to predict with; default: model.weights");
  command
      ->add_option("--predictions", a->predictions,
                   "Folder of predicted maps instead, named like the images: .npy, .pfm, .png")
      ->excludes(weights);
  command
      ->add_option("--prediction-scale", a->prediction_scale,
                   "Value of a stored unit of these maps, where no side file tells")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--manifest", a->manifests,
                   "Images and truth, JSON lines (repeatable); default: data.validation")
      ->allow_extra_args(false);
  command->add_option("--split", a->split, "Only images of this split");
  command->add_option("--limit", a->limit, "Only that many images, the first; 0: all")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--size", a->size, "Shorter side of the network's input; default 518")
      ->check(CLI::Range(14, 1 << 20));
  add_protocol(*command, *a);
  command->add_option("--out", a->out, "Folder for result.json and per_image.csv");
  add_device_flag(*command, a->device, "what the configuration says, else auto");
  add_dtype_flag(*command, a->dtype);
  command->add_option("--threads", a->threads, "CPU threads (default: FATHOM_THREADS or all)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", a->json, "Print the result as JSON to stdout");
  command->add_flag("--quiet", a->quiet, "No progress, only what was skipped");
  add_model_flags(*command, a->model);
  command->callback([a, &action] { action = [a] { return eval(*a); }; });
}

}  // namespace fathom::cli
