#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "models/depth_anything.h"

namespace fathom {

// One JSON file describes a run: a section for every aggregate below, each key with a default.
// `fields` lists the keys of a section with what their values must be, so that reading, checking,
// overriding and writing share one list. Defaults are what the authors of Depth Anything state,
// and for what they leave open those of the nearest published code.

/// What a value must be. Numbers: both ends included, or the lower one excluded.
struct Between {
  double low, high;
};
struct Above {
  double low, high;
};
struct OneOf {
  std::vector<std::string> names;
};
struct DeviceName {};  // auto, cpu, cuda or cuda:N
struct Anything {};

struct ModelSection {
  std::string size = "S";     // S, B, L, g, or custom with the widths below
  int64_t version = 1;        // says which blocks the decoder taps
  std::string encoder;        // DINOv2 weights to start from; empty: random
  std::string weights;        // a whole model to start from, encoder and decoder
  double layer_scale = 1e-5;  // of random encoders: 1e-5 in DINOv2; 1 learns faster from scratch
  double output_bias = 1;     // added to the last bias of a random decoder; see train/initialize.h
  int64_t channels = 0, layers = 0, hidden = 0;  // custom; hidden 0: four times the channels
  int64_t features = 0;                          // custom: width of the decoder
  std::vector<int64_t> out_channels, taps;       // custom: 4 each; no taps: those of the version

  static void fields(auto& self, auto&& visit) {
    visit("size", self.size, OneOf{{"S", "B", "L", "g", "custom"}});
    visit("version", self.version, Between{1, 2});
    visit("encoder", self.encoder, Anything{});
    visit("weights", self.weights, Anything{});
    visit("layer_scale", self.layer_scale, Above{0, 10});
    visit("output_bias", self.output_bias, Between{-100, 100});
    visit("channels", self.channels, Between{0, 8192});
    visit("layers", self.layers, Between{0, 256});
    visit("hidden", self.hidden, Between{0, 65536});
    visit("features", self.features, Between{0, 4096});
    visit("out_channels", self.out_channels, Between{1, 8192});
    visit("taps", self.taps, Between{0, 255});
  }
};

struct DataSection {
  std::vector<std::string> labeled, unlabeled, validation;  // manifests
  std::vector<double> weights;    // of the labeled manifests, where mixing is weighted
  std::string mixing = "concat";  // concat, equal or weighted
  int64_t size = 518;             // side of the crop, in pixels
  int64_t workers = 2;            // threads that decode and augment
  int64_t queue_mib = 1024;       // memory of the samples that wait
  double max_bad_rate = 0.01;     // share of corrupt samples above which a run ends

  static void fields(auto& self, auto&& visit) {
    visit("labeled", self.labeled, Anything{});
    visit("unlabeled", self.unlabeled, Anything{});
    visit("validation", self.validation, Anything{});
    visit("weights", self.weights, Above{0, 1e9});
    visit("mixing", self.mixing, OneOf{{"concat", "equal", "weighted"}});
    visit("size", self.size, Between{14, 4200});
    visit("workers", self.workers, Between{1, 256});
    visit("queue_mib", self.queue_mib, Between{1, 1 << 20});
    visit("max_bad_rate", self.max_bad_rate, Between{0, 1});
  }
};

/// The loss between a prediction and a relative target.
struct LossSection {
  std::string kind = "ssi";    // ssi (median and mean deviation) or least_squares
  double trim = 0;             // share of the largest residuals that is left out
  double gradient_weight = 0;  // of multi-scale gradient matching: 0 in V1, 2 in V2
  int64_t gradient_levels = 4;
  int64_t min_valid = 10;             // pixels; below, a sample is left out and counted
  std::string batch_mean = "images";  // or pixels: images weighted by what they have valid

  static void fields(auto& self, auto&& visit) {
    visit("kind", self.kind, OneOf{{"ssi", "least_squares"}});
    visit("trim", self.trim, Between{0, 0.9});
    visit("gradient_weight", self.gradient_weight, Between{0, 1000});
    visit("gradient_levels", self.gradient_levels, Between{1, 8});
    visit("min_valid", self.min_valid, Between{1, 1e9});
    visit("batch_mean", self.batch_mean, OneOf{{"images", "pixels"}});
  }
};

struct TeacherSection {
  int64_t epochs = 20;
  int64_t steps = 0;  // instead of epochs, if above 0
  int64_t batch = 16;
  LossSection loss;

  static void fields(auto& self, auto&& visit) {
    visit("epochs", self.epochs, Between{1, 1e6});
    visit("steps", self.steps, Between{0, 1e12});
    visit("batch", self.batch, Between{1, 65536});
    visit("loss", self.loss);
  }
};

struct LabelSection {
  std::string weights;  // of the teacher: a model or a checkpoint of a run
  std::string out;      // folder of the maps and of the manifest
  int64_t size = 0;     // target of the shorter side; 0: data.size
  int64_t batch = 1;
  std::string dtype = "auto";  // f32, bf16 or f16; auto: f32 on the CPU, f16 on a GPU
  bool flip = false;           // average with the prediction of the mirrored image
  bool verify = true;  // check the sums of maps that exist instead of trusting their sidecars

  static void fields(auto& self, auto&& visit) {
    visit("weights", self.weights, Anything{});
    visit("out", self.out, Anything{});
    visit("size", self.size, Between{0, 4200});
    visit("batch", self.batch, Between{1, 4096});
    visit("dtype", self.dtype, OneOf{{"auto", "f32", "bf16", "f16"}});
    visit("flip", self.flip, Anything{});
    visit("verify", self.verify, Anything{});
  }
};

struct StudentSection {
  int64_t epochs = 1;                               // sweeps over the unlabeled images
  int64_t steps = 0;                                // instead of epochs, if above 0
  int64_t labeled_batch = 8, unlabeled_batch = 16;  // 1 : 2 in V1; no labeled ones in V2
  bool perturb = true;  // colours, blur and CutMix, of the unlabeled images only
  double labeled_weight = 1, unlabeled_weight = 1;
  double align_weight = 1;     // of the feature alignment; 0: none
  double align_margin = 0.85;  // patches whose cosine is above are left out
  LossSection loss, unlabeled_loss;

  static void fields(auto& self, auto&& visit) {
    visit("epochs", self.epochs, Between{1, 1e6});
    visit("steps", self.steps, Between{0, 1e12});
    visit("labeled_batch", self.labeled_batch, Between{0, 65536});
    visit("unlabeled_batch", self.unlabeled_batch, Between{0, 65536});
    visit("perturb", self.perturb, Anything{});
    visit("labeled_weight", self.labeled_weight, Between{0, 1000});
    visit("unlabeled_weight", self.unlabeled_weight, Between{0, 1000});
    visit("align_weight", self.align_weight, Between{0, 1000});
    visit("align_margin", self.align_margin, Between{-1, 1});
    visit("loss", self.loss);
    visit("unlabeled_loss", self.unlabeled_loss);
  }
};

struct MetricSection {
  int64_t epochs = 120;
  int64_t steps = 0;  // instead of epochs, if above 0
  int64_t batch = 16;
  double min_depth_m = 1e-3, max_depth_m = 20;  // 20 indoor, 80 outdoor
  std::string loss = "v2";                      // SiLog: v2, or zoe as ZoeDepth scales it

  static void fields(auto& self, auto&& visit) {
    visit("epochs", self.epochs, Between{1, 1e6});
    visit("steps", self.steps, Between{0, 1e12});
    visit("batch", self.batch, Between{1, 65536});
    visit("min_depth_m", self.min_depth_m, Above{0, 1e6});
    visit("max_depth_m", self.max_depth_m, Above{0, 1e6});
    visit("loss", self.loss, OneOf{{"v2", "zoe"}});
  }
};

struct EvalSection {
  int64_t every_steps = 0;              // 0: at the end only
  int64_t images = 0;                   // of the validation set; 0: all
  std::string alignment = "disparity";  // disparity or depth (least squares), median, none
  double min_depth_m = 1e-3, max_depth_m = 80;
  std::string crop = "none";
  int64_t panels = 4;  // images shown in the report

  static void fields(auto& self, auto&& visit) {
    visit("every_steps", self.every_steps, Between{0, 1e12});
    visit("images", self.images, Between{0, 1e9});
    visit("alignment", self.alignment, OneOf{{"disparity", "depth", "median", "none"}});
    visit("min_depth_m", self.min_depth_m, Above{0, 1e6});
    visit("max_depth_m", self.max_depth_m, Above{0, 1e6});
    visit("crop", self.crop, OneOf{{"none", "garg", "eigen_kitti", "eigen_nyu"}});
    visit("panels", self.panels, Between{0, 64});
  }
};

struct OptimizerSection {
  double lr = 5e-6;            // of the encoder
  double decoder_factor = 10;  // the decoder's lr over the encoder's
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01;
  std::string decay = "all";  // or weights: no norms, biases, embeddings and scales
  double clip_norm = 0;       // 0: gradients are not clipped
  int64_t accumulate = 1;     // batches a step
  double ema = 0;             // decay of the averaged weights; 0: none
  double loss_outlier = 0, gradient_outlier = 0;  // so often the running mean: no step; 0: off
  /// f32, or bf16 with f32 master weights; auto: f32 on the CPU, bf16 on a GPU.
  std::string precision = "auto";

  static void fields(auto& self, auto&& visit) {
    visit("lr", self.lr, Above{0, 10});
    visit("decoder_factor", self.decoder_factor, Above{0, 1e4});
    visit("beta1", self.beta1, Between{0, 0.99999});
    visit("beta2", self.beta2, Between{0, 0.9999999});
    visit("eps", self.eps, Above{0, 1});
    visit("weight_decay", self.weight_decay, Between{0, 10});
    visit("decay", self.decay, OneOf{{"all", "weights"}});
    visit("clip_norm", self.clip_norm, Between{0, 1e9});
    visit("accumulate", self.accumulate, Between{1, 65536});
    visit("ema", self.ema, Between{0, 0.9999999});
    visit("loss_outlier", self.loss_outlier, Between{0, 1e9});
    visit("gradient_outlier", self.gradient_outlier, Between{0, 1e9});
    visit("precision", self.precision, OneOf{{"auto", "f32", "bf16"}});
  }
};

struct ScheduleSection {
  std::string kind = "linear";  // linear, poly, cosine or constant
  double power = 0.9;           // of poly
  int64_t warmup_steps = 0;
  double final_factor = 0;  // where the schedule ends, as a share of lr

  static void fields(auto& self, auto&& visit) {
    visit("kind", self.kind, OneOf{{"linear", "poly", "cosine", "constant"}});
    visit("power", self.power, Above{0, 10});
    visit("warmup_steps", self.warmup_steps, Between{0, 1e12});
    visit("final_factor", self.final_factor, Between{0, 1});
  }
};

struct AugmentSection {
  double flip = 0.5;    // probability of mirroring, labeled and unlabeled
  double jitter = 0.8;  // probability of ColorJitter, unlabeled only as all below
  double brightness = 0.5, contrast = 0.5, saturation = 0.5, hue = 0.25;
  double grayscale = 0;                                  // probability
  double blur = 0.5;                                     // probability
  double blur_sigma_min = 0.1, blur_sigma_max = 2;       // in pixels
  double cutmix = 0.5;                                   // probability
  double cutmix_area_min = 0.02, cutmix_area_max = 0.4;  // share of the image
  double cutmix_ratio_min = 0.3;  // of height to width; its inverse is the largest

  static void fields(auto& self, auto&& visit) {
    visit("flip", self.flip, Between{0, 1});
    visit("jitter", self.jitter, Between{0, 1});
    visit("brightness", self.brightness, Between{0, 1});
    visit("contrast", self.contrast, Between{0, 1});
    visit("saturation", self.saturation, Between{0, 1});
    visit("hue", self.hue, Between{0, 0.5});
    visit("grayscale", self.grayscale, Between{0, 1});
    visit("blur", self.blur, Between{0, 1});
    visit("blur_sigma_min", self.blur_sigma_min, Above{0, 100});
    visit("blur_sigma_max", self.blur_sigma_max, Above{0, 100});
    visit("cutmix", self.cutmix, Between{0, 1});
    visit("cutmix_area_min", self.cutmix_area_min, Above{0, 0.9});
    visit("cutmix_area_max", self.cutmix_area_max, Above{0, 0.9});
    visit("cutmix_ratio_min", self.cutmix_ratio_min, Above{0, 1});
  }
};

struct LoggingSection {
  int64_t every_steps = 10;
  bool tensorboard = true;

  static void fields(auto& self, auto&& visit) {
    visit("every_steps", self.every_steps, Between{1, 1e9});
    visit("tensorboard", self.tensorboard, Anything{});
  }
};

struct CheckpointSection {
  int64_t every_steps = 1000;
  int64_t keep = 3;  // the last ones, beside the best

  static void fields(auto& self, auto&& visit) {
    visit("every_steps", self.every_steps, Between{1, 1e12});
    visit("keep", self.keep, Between{1, 1e6});
  }
};

struct TrainConfig {
  int64_t seed = 0;             // of weights, order and augmentation
  std::string device = "auto";  // cpu, cuda, cuda:N; auto: the first GPU where there is one
  bool cuda_graph = true;       // on a GPU a step is captured once and replayed
  ModelSection model;
  DataSection data;
  TeacherSection teacher;
  LabelSection label;
  StudentSection student;
  MetricSection metric;
  EvalSection eval;
  OptimizerSection optimizer;
  ScheduleSection schedule;
  AugmentSection augment;
  LoggingSection logging;
  CheckpointSection checkpoint;

  static void fields(auto& self, auto&& visit) {
    visit("seed", self.seed, Between{0, 9007199254740992});  // what every JSON reader keeps
    visit("device", self.device, DeviceName{});
    visit("cuda_graph", self.cuda_graph, Anything{});
    visit("model", self.model);
    visit("data", self.data);
    visit("teacher", self.teacher);
    visit("label", self.label);
    visit("student", self.student);
    visit("metric", self.metric);
    visit("eval", self.eval);
    visit("optimizer", self.optimizer);
    visit("schedule", self.schedule);
    visit("augment", self.augment);
    visit("logging", self.logging);
    visit("checkpoint", self.checkpoint);
  }
};

/// Reads a configuration; // and /* */ comments are allowed.
///
/// overrides: "optimizer.lr=1e-4": a dotted key and a JSON value, or bare text. They win.
/// Throws Error naming the file or the override, the key, its value and what is allowed; for a key
/// that does not exist it names the nearest one.
TrainConfig read_config(const std::filesystem::path& path,
                        std::span<const std::string> overrides = {});

/// The same of a text; `name` is what messages call it.
TrainConfig parse_config(std::string_view text, const std::string& name,
                         std::span<const std::string> overrides = {});

/// Every key with its value, as indented JSON that read_config gives back unchanged.
std::string config_text(const TrainConfig& config);

/// One line a key that differs: "optimizer.lr: 1e-05 -> 2e-05".
std::vector<std::string> config_differences(const TrainConfig& before, const TrainConfig& after);

/// "f32" or "bf16": what optimizer.precision means on a device.
std::string precision_on(Device device, const TrainConfig& config);

/// The network of the model section. Throws Error where its numbers do not hang together.
DepthAnythingConfig model_config(const TrainConfig& config);

}  // namespace fathom
