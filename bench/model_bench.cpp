#include "bench/model_bench.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>

#include "bench/statistics.h"
#include "core/allocator.h"
#include "core/autograd.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/png.h"
#include "core/random.h"
#include "kernels/reduce.h"
#include "kernels/ssi_loss.h"
#include "models/load.h"
#include "models/postprocess.h"
#include "models/preprocess.h"
#include "tests/models/hash_fill.h"
#include "train/infer/outputs.h"
#include "train/optimizer.h"

namespace fathom::bench {
namespace {

namespace fs = std::filesystem;

using Windows = std::vector<std::pair<std::string, double>>;  // seconds

// Adds the seconds of f as a window and returns its result.
auto timed(Windows& windows, const char* name, auto&& f) {
  const auto start = std::chrono::steady_clock::now();
  const auto finish = [&] {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    windows.push_back({name, passed.count()});
  };
  if constexpr (std::is_void_v<decltype(f())>) {
    f();
    finish();
  } else {
    auto result = f();
    finish();
    return result;
  }
}

// A folder for the photo and the results that goes with it.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "fathom-bench-XXXXXX").string();
    check(::mkdtemp(name.data()) != nullptr, "bench: cannot create a folder like ", name);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

// Smooth shapes under a little noise: compresses about as a photo does.
Image8 drawn_photo(ImageSize size) {
  Image8 photo{int(size.height), int(size.width), 3, {}};
  Generator generator{7};
  const Tensor noise = uniform({size.height, size.width, 3}, generator, -6, 6);
  const float* grain = noise.data<float>();
  photo.pixels.resize(size_t(noise.numel()));
  for (int64_t i = 0; i < noise.numel(); ++i) {
    const double y = double(i / 3 / size.width), x = double(i / 3 % size.width);
    const double wave = std::sin(x / 90 + double(i % 3)) * std::cos(y / 70) * 90 + 128;
    photo.pixels[size_t(i)] = uint8_t(std::clamp(wave + grain[i], 0.0, 255.0));
  }
  return photo;
}

fs::path write_photo(const Folder& folder, ImageSize size) {
  const Image8 photo = drawn_photo(size);
  if (can_write_png()) {
    write_png(folder.path / "photo.png", photo);
    return folder.path / "photo.png";
  }
  std::ofstream file(folder.path / "photo.ppm", std::ios::binary);
  file << "P6\n" << size.width << " " << size.height << "\n255\n";
  file.write(reinterpret_cast<const char*>(photo.pixels.data()),
             std::streamsize(photo.pixels.size()));
  return folder.path / "photo.ppm";
}

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) * 1024;
  return 0;
}

struct Loaded {
  DepthAnything model;
  int version = 2;
  std::string title, hash;
};

Loaded load(const ModelBench& bench) {
  if (!bench.weights.empty()) {
    LoadedModel file = load_model(bench.weights);
    return {std::move(file.model), file.version, file.title, file.weights_hash};
  }
  Loaded filled{DepthAnything(depth_anything_config(2, bench.size)), 2,
                "Depth Anything V2 " + letter_of(bench.size), ""};
  fill_with_hash(filled.model, 4);  // which keeps the last ReLU open
  return filled;
}

std::vector<Tensor> encode(const DepthAnything& model, const Tensor& image) {
  return model.pretrained(image, model.config.taps);
}

Tensor decode(const DepthAnything& model, std::vector<Tensor> maps, const Tensor& image) {
  const bool metric = model.config.kind == DepthKind::metric;
  return model.depth_head(std::move(maps), image.dim(1), image.dim(2),
                          metric ? HeadActivation::sigmoid : HeadActivation::relu,
                          metric ? model.config.max_depth_m : 1);
}

std::string model_letter(const Dinov2Config& encoder) {
  for (const ModelSize size : {ModelSize::S, ModelSize::B, ModelSize::L, ModelSize::g})
    if (depth_anything_config(2, size).encoder.channels == encoder.channels) return letter_of(size);
  return std::to_string(encoder.channels);
}

// The costs of a window of the network; empty for the others.
std::vector<OpCost> costs_of(const std::string& window, const DepthAnythingConfig& model,
                             const CostOptions& options) {
  using Group = OpCost::Group;
  std::vector<OpCost> chosen;
  const auto take = [&](const std::vector<OpCost>& ops, auto&& wanted) {
    for (const OpCost& op : ops)
      if (wanted(op.group)) chosen.push_back(op);
  };
  const auto decoder = [](Group g) {
    return g == Group::decoder_product || g == Group::decoder_resize;
  };
  const auto any = [](Group) { return true; };
  const bool step = window == "step";
  if (model.encoder.swiglu) return {};
  if (window == "encoder" || window == "network")
    take(forward_costs(model, options), [&](Group g) { return !decoder(g) && g != Group::input; });
  if (window == "decoder" || window == "network") take(forward_costs(model, options), decoder);
  if (window == "forward" || step) take(forward_costs(model, options), any);
  if (window == "backward" || step) take(backward_costs(model, options), any);
  if (window == "backward" || step)  // whose traffic is mostly that of its gradient
    take(update_costs(model, options), [](Group g) { return g == Group::loss; });
  if (window == "optimizer" || step)
    take(update_costs(model, options), [](Group g) { return g == Group::optimizer; });
  return chosen;
}

// One pass as a user runs it, photo by photo and batch by batch.
class Inference {
 public:
  Inference(const ModelBench& bench, Loaded loaded)
      : bench_(bench), loaded_(std::move(loaded)), photo_(bench.photo) {
    if (photo_.empty())
      photo_ = write_photo(folder_, {2 * bench.image.height, 2 * bench.image.width});
    const ImageSize size = read_image_size(photo_);
    network_ = bench.photo.empty() ? bench.image : input_size(size);
    map_resize_ = map_resize_of(loaded_.version);
    source_ = {loaded_.title,
               loaded_.version,
               loaded_.model.config.kind,
               loaded_.model.config.max_depth_m,
               bench.weights.string(),
               loaded_.hash,
               std::string(name_of(bench.dtype)),
               "cpu"};
    output_ = {.folder = folder_.path / "out", .formats = {OutputFormat::npy}, .colors = {}};
    if (can_write_png()) output_.formats = {OutputFormat::png16, OutputFormat::color};
    fs::create_directories(output_.folder);
    prepare_for_inference(loaded_.model, bench.dtype);
  }

  ImageSize network() const { return network_; }

  /// Compares the network's result with that of the same model in f64, or in f32 for a smaller
  /// dtype. To be called last: the reference takes more memory than what is measured.
  void compare_with(Loaded reference, Row& row) {
    const NoGrad no_grad;
    Windows ignored;
    const Tensor image = prepare(ignored);
    const Tensor result = predict(image, ignored).to(DType::f64);
    const DType wide = bench_.dtype == DType::f32 ? DType::f64 : DType::f32;
    prepare_for_inference(reference.model, wide);
    const Tensor input = image.to(wide);
    const Tensor expected =
        decode(reference.model, encode(reference.model, input), input).to(DType::f64);
    const double *x = result.data<double>(), *y = expected.data<double>();
    double difference = 0, size = 0;
    for (int64_t i = 0; i < result.numel(); ++i) {
      difference += (x[i] - y[i]) * (x[i] - y[i]);
      size += y[i] * y[i];
    }
    row.error = std::sqrt(difference / size);
    // The agreement that bench/compare asks of every library: f32 is 1e-6 from f64; bf16 has 8 bits
    // and errs by 4e-3 in the model of 12 blocks, and errors grow with the root of their number.
    const double depth = std::sqrt(double(loaded_.model.config.encoder.layers) / 12);
    row.error_bound = (bench_.dtype == DType::f32 ? 1e-5 : 1e-2) * depth;
    if (!(row.error <= row.error_bound)) row.failure = "the network's result is wrong";
  }

  Windows pass() {
    const NoGrad no_grad;
    Windows windows;
    std::vector<Image8> pixels;
    const Tensor image = prepare(windows, &pixels);
    const Tensor depth = predict(image, windows);
    const int64_t H = network_.height, W = network_.width;
    std::vector<FloatMap> maps;
    timed(windows, "post", [&] {
      for (int64_t i = 0; i < bench_.batch; ++i) {
        const Image8& photo = pixels[size_t(i)];
        maps.push_back(resize_map({H, W, {depth.data<float>() + i * H * W, size_t(H * W)}},
                                  {photo.height, photo.width}, map_resize_));
      }
    });
    timed(windows, "write", [&] {
      for (int64_t i = 0; i < bench_.batch; ++i)
        write_outputs(output_, source_, "map" + std::to_string(i), photo_, pixels[size_t(i)],
                      network_, maps[size_t(i)]);
    });
    add_sums(windows);
    return windows;
  }

 private:
  Tensor prepare(Windows& windows, std::vector<Image8>* kept = nullptr) {
    const int64_t values = network_.height * network_.width * 3;
    std::vector<Image8> pixels;
    timed(windows, "decode", [&] {
      for (int64_t i = 0; i < bench_.batch; ++i) pixels.push_back(read_image(photo_));
    });
    Tensor image = empty({bench_.batch, network_.height, network_.width, 3});
    timed(windows, "resize", [&] {
      for (int64_t i = 0; i < bench_.batch; ++i)
        preprocess(pixels[size_t(i)], network_, {image.data<float>() + i * values, size_t(values)});
    });
    if (kept) *kept = std::move(pixels);
    return image;
  }

  Tensor predict(const Tensor& image, Windows& windows) {
    std::vector<Tensor> maps =
        timed(windows, "encoder", [&] { return encode(loaded_.model, image.to(bench_.dtype)); });
    return timed(windows, "decoder",
                 [&] { return decode(loaded_.model, std::move(maps), image).to(DType::f32); });
  }

  static void add_sums(Windows& windows) {
    double network = 0, total = 0;
    for (const auto& [name, seconds] : windows) {
      total += seconds;
      if (name == "encoder" || name == "decoder") network += seconds;
    }
    windows.push_back({"network", network});
    windows.push_back({"total", total});
  }

  const ModelBench& bench_;
  Loaded loaded_;
  Folder folder_;
  fs::path photo_;
  ImageSize network_;
  MapResize map_resize_;
  OutputSource source_;
  OutputOptions output_;
};

// A step of training on one random batch, which stays the same.
class Training {
 public:
  Training(const ModelBench& bench, Loaded loaded)
      : bench_(bench),
        loaded_(std::move(loaded)),
        optimizer_({.bf16 = bench.dtype == DType::bf16}) {
    Generator generator{1};
    const Shape maps{bench.batch, bench.image.height, bench.image.width};
    image_ = normal({maps[0], maps[1], maps[2], 3}, generator);
    target_ = uniform(maps, generator, 0.1, 1);
    mask_ = full(maps, 1, {DType::boolean});
    require_grad(loaded_.model);
    optimizer_.add(loaded_.model);
  }

  Windows pass() {
    Windows windows;
    const Tensor loss = timed(windows, "forward", [&] {
      const Tensor depth = loaded_.model(image_.to(bench_.dtype)).to(DType::f32);
      return mean(ssi_loss(depth, target_, mask_, {.gradient_weight = 2}).loss);
    });
    timed(windows, "backward", [&] { backward(loss); });
    timed(windows, "optimizer", [&] {
      optimizer_.accumulate(loss);
      const StepReport report = optimizer_.step(1);
      check(report.outcome == StepOutcome::taken,
            "bench: a training step was not taken, its loss is ", report.loss);
    });
    windows.push_back({"step", windows[0].second + windows[1].second + windows[2].second});
    return windows;
  }

 private:
  const ModelBench& bench_;
  Loaded loaded_;
  Optimizer optimizer_;
  Tensor image_, target_, mask_;
};

std::string size_of_bench(const ModelBench& bench, const std::string& letter, ImageSize network) {
  return letter + "/" + std::to_string(network.height) + "x" + std::to_string(network.width) +
         "/b" + std::to_string(bench.batch);
}

// Rows for the windows that the first pass named, filled by the passes that follow.
class Recorder {
 public:
  Recorder(const ModelBench& bench, const DepthAnythingConfig& model, const std::string& size,
           ImageSize network)
      : bench_(bench), model_(model), size_(size) {
    options_ = {.height = network.height,
                .width = network.width,
                .element_bytes = size_of(bench.dtype),
                .training = bench.training};
  }

  void add(const Windows& windows, const Roof& roof) {
    for (const auto& [window, seconds] : windows) {
      Row& row = row_of(window);
      row.warm.samples_s.push_back(seconds);
      const double floor = floor_s(costs_[window], bench_.batch, roof);
      row.warm.roofline.push_back(floor / seconds);
      if (floor > 0) used_[window].push_back(row.flops / seconds / roof.flops);
    }
  }

  /// What the whole pass took at most; the bench's own buffers not counted.
  void memory(int64_t tensor_bytes, int64_t resident_bytes, int64_t allocations) {
    for (Row& row : rows_) {
      if (row.pass != "total" && row.pass != "step" && row.pass != "network") continue;
      row.allocated_bytes = tensor_bytes, row.allocations = allocations;
      row.more["peak_resident_bytes"] = double(resident_bytes);
    }
  }

  std::vector<Row> finish() {
    for (Row& row : rows_) {
      row.more["images_per_s"] = double(bench_.batch) / row.warm.median_s();
      row.more["p99_s"] = row.warm.quantile_s(0.99);
      if (used_.count(row.pass)) row.more["model_flop_utilisation"] = median(used_[row.pass]);
    }
    return std::move(rows_);
  }

 private:
  Row& row_of(const std::string& window) {
    for (Row& row : rows_)
      if (row.pass == window) return row;
    Row row;
    row.op = bench_.training ? "train" : "model", row.pass = window, row.size = size_;
    row.dtype = bench_.dtype, row.threads = thread_count(), row.images = bench_.batch;
    row.name = row_name(row.op, window, size_, bench_.dtype);
    const std::vector<OpCost>& ops = costs_[window] = costs_of(window, model_, options_);
    row.flops = total_flops(ops) * double(bench_.batch);
    row.bytes = total_bytes(ops, bench_.batch) * double(bench_.batch);
    if (!ops.empty()) row.bound = window == "optimizer" ? "memory" : "compute";
    rows_.push_back(row);
    return rows_.back();
  }

  const ModelBench& bench_;
  const DepthAnythingConfig model_;
  const std::string size_;
  CostOptions options_;
  std::vector<Row> rows_;
  std::map<std::string, std::vector<OpCost>> costs_;
  std::map<std::string, std::vector<double>> used_;
};

/// `held_bytes` are tensors of the bench itself.
template <class Pass>
void repeat(Pass& pass, Recorder& recorder, CeilingLog& ceilings, DType dtype, const Effort& effort,
            int64_t held_bytes) {
  pass.pass();  // warms up
  const MemoryStatistics before = allocator::statistics();
  allocator::reset_peak();
  double spent = 0;
  Roof roof = ceilings.now(dtype);
  int64_t passes = 0;
  for (; passes < effort.repeat && (spent < effort.min_time_s || passes < effort.least); ++passes) {
    const auto start = std::chrono::steady_clock::now();
    const Windows windows = pass.pass();
    spent += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Roof after = ceilings.now(dtype);
    recorder.add(windows, {std::max(roof.flops, after.flops), std::max(roof.bytes, after.bytes)});
    roof = after;
  }
  const MemoryStatistics after = allocator::statistics();
  recorder.memory(after.peak_bytes - held_bytes, peak_resident_bytes() - held_bytes,
                  (after.allocations - before.allocations) / passes);
}

}  // namespace

std::vector<std::string> model_row_names(const ModelBench& bench) {
  const std::vector<const char*> windows =
      bench.training ? std::vector{"forward", "backward", "optimizer", "step"}
                     : std::vector{"decode", "resize", "encoder", "decoder",
                                   "post",   "write",  "network", "total"};
  std::vector<std::string> names;
  for (const char* window : windows)
    names.push_back(row_name(bench.training ? "train" : "model", window,
                             size_of_bench(bench, letter_of(bench.size), bench.image),
                             bench.dtype));
  return names;
}

ModelRows run_model(const Meter& meter, CeilingLog& ceilings, const ModelBench& bench,
                    const Effort& effort) {
  check(meter.device == kCpu, "bench: models are measured on the CPU, not on ", meter.device);
  const int64_t held = allocator::statistics().current_bytes;
  Loaded loaded = load(bench);
  const DepthAnythingConfig config = loaded.model.config;
  const std::string hash = loaded.hash, letter = model_letter(config.encoder);
  if (bench.training) {
    Training training(bench, std::move(loaded));
    Recorder recorder(bench, config, size_of_bench(bench, letter, bench.image), bench.image);
    repeat(training, recorder, ceilings, bench.dtype, effort, held);
    return {recorder.finish(), hash};
  }
  Inference inference(bench, std::move(loaded));
  const ImageSize network = inference.network();
  Recorder recorder(bench, config, size_of_bench(bench, letter, network), network);
  repeat(inference, recorder, ceilings, bench.dtype, effort, held);
  ModelRows measured{recorder.finish(), hash};
  Row checked;
  inference.compare_with(load(bench), checked);
  for (Row& row : measured.rows) {
    const std::string& window = row.pass;
    if (window == "decode" || window == "resize" || window == "post" || window == "write") continue;
    row.error = checked.error, row.error_bound = checked.error_bound;
    row.failure = checked.failure;
    if (row.failed()) row.warm = {};
  }
  return measured;
}

}  // namespace fathom::bench
