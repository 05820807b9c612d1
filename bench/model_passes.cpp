#include "bench/model_passes.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "core/autograd.h"
#include "core/png.h"
#include "core/random.h"
#include "kernels/reduce.h"
#include "kernels/ssi_loss.h"
#include "models/load.h"
#include "models/preprocess.h"
#include "tests/models/hash_fill.h"

namespace fathom::bench {

namespace fs = std::filesystem;

// Windows by moments, which are looked at when all is done: nothing waits in between.
class Laps {
 public:
  explicit Laps(const Meter& meter) : meter_(meter) {}

  /// Runs f as a window of the device's clock, or of this machine's, and returns its result.
  auto on_device(const char* name, auto&& f) {
    return timed(name, f, meter_.mark, meter_.between_s);
  }
  auto on_host(const char* name, auto&& f) { return timed(name, f, wall_mark, wall_between_s); }

  Windows seconds() const {
    Windows windows;
    for (const Lap& lap : laps_) windows.push_back({lap.name, lap.between_s(lap.from, lap.to)});
    return windows;
  }

 private:
  struct Lap {
    const char* name;
    Mark from, to;
    std::function<double(const Mark&, const Mark&)> between_s;
  };

  auto timed(const char* name, auto&& f, const auto& mark, const auto& between_s) {
    const Mark from = mark();
    if constexpr (std::is_void_v<decltype(f())>) {
      f();
      laps_.push_back({name, from, mark(), between_s});
    } else {
      auto result = f();
      laps_.push_back({name, from, mark(), between_s});
      return result;
    }
  }

  const Meter& meter_;
  std::vector<Lap> laps_;
};

static double sum_of(const Windows& windows, std::initializer_list<std::string_view> names) {
  double sum = 0;
  for (const auto& [name, seconds] : windows)
    if (std::find(names.begin(), names.end(), name) != names.end()) sum += seconds;
  return sum;
}

Folder::Folder() {
  std::string name = (fs::temp_directory_path() / "fathom-bench-XXXXXX").string();
  check(::mkdtemp(name.data()) != nullptr, "bench: cannot create a folder like ", name);
  path = name;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

namespace {

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

std::vector<Tensor> encode(const DepthAnything& model, const Tensor& image) {
  return model.pretrained(image, model.config.taps);
}

Tensor decode(const DepthAnything& model, std::vector<Tensor> maps, const Tensor& image) {
  const bool metric = model.config.kind == DepthKind::metric;
  return model.depth_head(std::move(maps), image.dim(1), image.dim(2),
                          metric ? HeadActivation::sigmoid : HeadActivation::relu,
                          metric ? model.config.max_depth_m : 1);
}

}  // namespace

MeasuredModel load(const ModelBench& bench) {
  if (!bench.weights.empty()) {
    LoadedModel file = load_model(bench.weights);
    return {std::move(file.model), file.version, file.title, file.weights_hash};
  }
  MeasuredModel filled{DepthAnything(depth_anything_config(2, bench.size)), 2,
                       "Depth Anything V2 " + letter_of(bench.size), ""};
  fill_with_hash(filled.model, 4);  // which keeps the last ReLU open
  return filled;
}

Inference::Inference(const Meter& meter, const ModelBench& bench, MeasuredModel loaded)
    : meter_(meter), bench_(bench), loaded_(std::move(loaded)), photo_(bench.photo) {
  if (photo_.empty())
    photo_ = write_photo(folder_, {2 * bench.image.height, 2 * bench.image.width});
  const ImageSize size = read_image_size(photo_);
  network_ = bench.photo.empty() ? bench.image : input_size(size);
  map_resize_ = map_resize_of(loaded_.version);
  std::ostringstream device;
  device << meter.device;
  source_ = {loaded_.title,
             loaded_.version,
             loaded_.model.config.kind,
             loaded_.model.config.max_depth_m,
             bench.weights.string(),
             loaded_.hash,
             std::string(name_of(bench.dtype)),
             device.str()};
  output_ = {.folder = folder_.path / "out", .formats = {OutputFormat::npy}, .colors = {}};
  if (can_write_png()) output_.formats = {OutputFormat::png16, OutputFormat::color};
  fs::create_directories(output_.folder);
  prepare_for_inference(loaded_.model, bench.dtype, meter.device);
}

Tensor Inference::prepare(Laps& laps, std::vector<Image8>* kept) {
  const int64_t values = network_.height * network_.width * 3;
  std::vector<Image8> pixels;
  laps.on_host("decode", [&] {
    for (int64_t i = 0; i < bench_.batch; ++i) pixels.push_back(read_image(photo_));
  });
  Tensor image = empty({bench_.batch, network_.height, network_.width, 3});
  laps.on_host("resize", [&] {
    for (int64_t i = 0; i < bench_.batch; ++i)
      preprocess(pixels[size_t(i)], network_, {image.data<float>() + i * values, size_t(values)});
  });
  if (kept) *kept = std::move(pixels);
  return image;
}

Tensor Inference::predict(const Tensor& image, Laps& laps) {
  const bool away = meter_.device != kCpu;
  const Tensor input =
      away ? laps.on_device("upload", [&] { return image.to(meter_.device); }) : image;
  std::vector<Tensor> maps =
      laps.on_device("encoder", [&] { return encode(loaded_.model, input.to(bench_.dtype)); });
  const Tensor depth = laps.on_device(
      "decoder", [&] { return decode(loaded_.model, std::move(maps), input).to(DType::f32); });
  return away ? laps.on_device("download", [&] { return depth.to(kCpu); }) : depth;
}

Windows Inference::pass() {
  const NoGrad no_grad;
  Laps laps(meter_);
  std::vector<Image8> pixels;
  const Tensor image = prepare(laps, &pixels);
  const Tensor depth = predict(image, laps);
  const int64_t H = network_.height, W = network_.width;
  std::vector<FloatMap> maps;
  laps.on_host("post", [&] {
    for (int64_t i = 0; i < bench_.batch; ++i) {
      const Image8& photo = pixels[size_t(i)];
      maps.push_back(resize_map({H, W, {depth.data<float>() + i * H * W, size_t(H * W)}},
                                {photo.height, photo.width}, map_resize_));
    }
  });
  laps.on_host("write", [&] {
    for (int64_t i = 0; i < bench_.batch; ++i)
      write_outputs(output_, source_, "map" + std::to_string(i), photo_, pixels[size_t(i)],
                    network_, maps[size_t(i)]);
  });
  Windows windows = laps.seconds();
  double total = 0;
  for (const auto& [name, seconds] : windows) total += seconds;
  windows.push_back({"network", sum_of(windows, {"encoder", "decoder"})});
  windows.push_back({"total", total});
  return windows;
}

Work Inference::network_work() {
  Laps ignored(meter_);
  image_ = prepare(ignored).to(meter_.device);
  return {[this] {
    const NoGrad no_grad;
    result_ = {};
    result_ = decode(loaded_.model, encode(loaded_.model, image_.to(bench_.dtype)), image_)
                  .to(DType::f32);
  }};
}

// All images are the same photo, so the reference is computed of one.
void Inference::compare_with(MeasuredModel reference, Row& row) {
  const NoGrad no_grad;
  Laps ignored(meter_);
  const Tensor image = prepare(ignored);
  const Tensor result = predict(image, ignored).to(DType::f64);
  const DType wide = bench_.dtype == DType::f32 ? DType::f64 : DType::f32;
  prepare_for_inference(reference.model, wide);
  const Tensor input = image.narrow(0, 0, 1).contiguous().to(wide);
  const Tensor expected =
      decode(reference.model, encode(reference.model, input), input).to(DType::f64);
  const double *x = result.data<double>(), *y = expected.data<double>();
  double difference = 0, size = 0;
  for (int64_t i = 0; i < result.numel(); ++i) {
    const double right = y[i % expected.numel()];
    difference += (x[i] - right) * (x[i] - right);
    size += right * right;
  }
  row.error = std::sqrt(difference / size);
  // The agreement that bench/compare asks of every library: f32 is 1e-6 from f64; bf16 has 8 bits
  // and errs by 4e-3 in the model of 12 blocks, f16 has 11, and errors grow with the root of the
  // blocks' number.
  const double depth = std::sqrt(double(loaded_.model.config.encoder.layers) / 12);
  const double bound = bench_.dtype == DType::f32    ? 1e-5
                       : bench_.dtype == DType::bf16 ? 1e-2
                                                     : 1e-2 / 8;
  row.error_bound = bound * depth;
  if (!(row.error <= row.error_bound)) row.failure = "the network's result is wrong";
}

Training::Training(const Meter& meter, const ModelBench& bench, MeasuredModel loaded)
    : meter_(meter),
      bench_(bench),
      loaded_(std::move(loaded)),
      optimizer_({.bf16 = bench.dtype == DType::bf16}) {
  check(bench.dtype == DType::f32 || bench.dtype == DType::bf16,
        "bench: training is in f32 or bf16, not in ", bench.dtype,
        ", which would need its losses scaled");
  Generator generator{1};
  const Shape maps{bench.batch, bench.image.height, bench.image.width};
  image_ = normal({maps[0], maps[1], maps[2], 3}, generator).to(meter.device);
  target_ = uniform(maps, generator, 0.1, 1).to(meter.device);
  mask_ = full(maps, 1, {DType::boolean, meter.device});
  for_each_parameter(loaded_.model, [&](const std::string&, Tensor& parameter, AxisOrder) {
    parameter = parameter.detach().to(meter.device);
  });
  require_grad(loaded_.model);
  optimizer_.add(loaded_.model);
}

Tensor Training::loss() {
  const Tensor depth = loaded_.model(image_.to(bench_.dtype)).to(DType::f32);
  return mean(ssi_loss(depth, target_, mask_, {.gradient_weight = 2}).loss);
}

Windows Training::pass() {
  Laps laps(meter_);
  const Tensor loss = laps.on_device("forward", [&] { return this->loss(); });
  laps.on_device("backward", [&] { backward(loss); });
  laps.on_device("optimizer", [&] {
    optimizer_.accumulate(loss);
    const StepReport report = optimizer_.step(1);
    check(report.outcome == StepOutcome::taken,
          "bench: a training step was not taken, its loss is ", report.loss);
  });
  Windows windows = laps.seconds();
  windows.push_back({"step", sum_of(windows, {"forward", "backward", "optimizer"})});
  return windows;
}

Work Training::gradients_work() {
  return {[this] {
    for_each_parameter(loaded_.model,
                       [](const std::string&, Tensor& t, AxisOrder) { t.clear_grad(); });
    loss_ = loss();
    backward(loss_);
    loss_ = loss_.detach();
  }};
}

}  // namespace fathom::bench
