#include "kernels/cuda/cudnn.h"

#if __has_include(<cudnn.h>)

#include <cudnn.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>

#include "core/cuda.h"
#include "core/cuda/library.h"
#include "core/cuda/plan_cache.h"
#include "kernels/cuda/gemm.h"

namespace fathom::cuda {
namespace {

// cuDNN, whose functions carry their names and types from its header.
struct Dnn {
  const Library& library;
#define FATHOM_FUNCTION(name) \
  decltype(::cudnn##name)* name = library.function<decltype(::cudnn##name)>("cudnn" #name)
  FATHOM_FUNCTION(Create);
  FATHOM_FUNCTION(GetErrorString);
  FATHOM_FUNCTION(GetVersion);
  FATHOM_FUNCTION(SetStream);
  FATHOM_FUNCTION(CreateTensorDescriptor);
  FATHOM_FUNCTION(DestroyTensorDescriptor);
  FATHOM_FUNCTION(SetTensor4dDescriptor);
  FATHOM_FUNCTION(CreateFilterDescriptor);
  FATHOM_FUNCTION(DestroyFilterDescriptor);
  FATHOM_FUNCTION(SetFilter4dDescriptor);
  FATHOM_FUNCTION(CreateConvolutionDescriptor);
  FATHOM_FUNCTION(DestroyConvolutionDescriptor);
  FATHOM_FUNCTION(SetConvolution2dDescriptor);
  FATHOM_FUNCTION(SetConvolutionMathType);
  FATHOM_FUNCTION(CreateActivationDescriptor);
  FATHOM_FUNCTION(DestroyActivationDescriptor);
  FATHOM_FUNCTION(SetActivationDescriptor);
  FATHOM_FUNCTION(GetConvolutionForwardWorkspaceSize);
  FATHOM_FUNCTION(ConvolutionBiasActivationForward);
  FATHOM_FUNCTION(GetConvolutionBackwardDataAlgorithm_v7);
  FATHOM_FUNCTION(ConvolutionBackwardData);
  FATHOM_FUNCTION(GetConvolutionBackwardFilterAlgorithm_v7);
  FATHOM_FUNCTION(ConvolutionBackwardFilter);
#undef FATHOM_FUNCTION
};

// Null where there is no cuDNN: convolutions do without it.
const Dnn* dnn() {
  static const Dnn* const functions = []() -> const Dnn* {
    static const auto* const library =
        new Library("cuDNN", {"libcudnn.so." + std::to_string(CUDNN_MAJOR)});
    if (!library->available()) return nullptr;
    try {
      return new Dnn{*library};
    } catch (const Error&) {  // of another version
      return nullptr;
    }
  }();
  return functions;
}

// Whether it worked; false if cuDNN cannot do it; throws on what should have worked.
bool good(cudnnStatus_t status, const char* tried) {
  if (status == CUDNN_STATUS_SUCCESS) return true;
  const int kind = int(status) / 1000 * 1000;
  if (kind == int(CUDNN_STATUS_NOT_SUPPORTED) || kind == int(CUDNN_STATUS_BAD_PARAM)) return false;
  fail("cuDNN: ", tried, ": ", dnn()->GetErrorString(status));
}

struct Destroy {
  void operator()(cudnnTensorStruct* x) const noexcept { dnn()->DestroyTensorDescriptor(x); }
  void operator()(cudnnFilterStruct* x) const noexcept { dnn()->DestroyFilterDescriptor(x); }
  void operator()(cudnnConvolutionStruct* x) const noexcept {
    dnn()->DestroyConvolutionDescriptor(x);
  }
  void operator()(cudnnActivationStruct* x) const noexcept {
    dnn()->DestroyActivationDescriptor(x);
  }
};
template <class T>
using Owned = std::unique_ptr<T, Destroy>;

// What every call describes.
struct Convolution {
  Owned<cudnnTensorStruct> x, y, bias;
  Owned<cudnnFilterStruct> weight;
  Owned<cudnnConvolutionStruct> convolution;
};

cudnnDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return CUDNN_DATA_FLOAT;
    case DType::f16: return CUDNN_DATA_HALF;
    case DType::bf16: return CUDNN_DATA_BFLOAT16;
    default: fail("cuDNN: convolutions are of f32, f16 or bf16, not ", dtype);
  }
}

bool describe(const Im2col& s, int64_t O, DType dtype, Convolution& c) {
  const Dnn& f = *dnn();
  const auto i = [](int64_t x) { return int(x); };
  const auto map = [&](Owned<cudnnTensorStruct>& owned, int64_t B, int64_t H, int64_t W,
                       int64_t C) {
    cudnnTensorDescriptor_t made = nullptr;
    if (!good(f.CreateTensorDescriptor(&made), "a map")) return false;
    owned.reset(made);
    return good(
        f.SetTensor4dDescriptor(made, CUDNN_TENSOR_NHWC, type_of(dtype), i(B), i(C), i(H), i(W)),
        "a map");
  };
  if (!map(c.x, s.B, s.H, s.W, s.C) || !map(c.y, s.B, s.out_h(), s.out_w(), O) ||
      !map(c.bias, 1, 1, 1, O))
    return false;
  cudnnFilterDescriptor_t weight = nullptr;
  if (!good(f.CreateFilterDescriptor(&weight), "a weight")) return false;
  c.weight.reset(weight);
  cudnnConvolutionDescriptor_t convolution = nullptr;
  if (!good(f.CreateConvolutionDescriptor(&convolution), "a convolution")) return false;
  c.convolution.reset(convolution);
  const cudnnMathType_t math =
      dtype == DType::f32 && !tf32_allowed() ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH;
  return good(f.SetFilter4dDescriptor(weight, type_of(dtype), CUDNN_TENSOR_NHWC, i(O), i(s.C),
                                      i(s.kernel_h), i(s.kernel_w)),
              "a weight") &&
         good(
             f.SetConvolution2dDescriptor(convolution, i(s.pad), i(s.pad), i(s.stride), i(s.stride),
                                          1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
             "a convolution") &&
         good(f.SetConvolutionMathType(convolution, math), "a convolution");
}

// The handle of a stream; created on first use, never destroyed.
cudnnHandle_t handle_of(CudaStream stream) {
  static auto* const handles = new std::map<CUstream_st*, cudnnHandle_t>;
  cudnnHandle_t& handle = (*handles)[stream.handle];
  if (!handle) {
    if (!good(dnn()->Create(&handle), "a handle")) fail("cuDNN: no handle");
    if (!good(dnn()->SetStream(handle, stream.handle), "a stream")) fail("cuDNN: no stream");
  }
  return handle;
}

// An algorithm and its workspace; algorithm < 0: there is none.
struct Plan {
  int32_t algorithm = -1;
  int64_t workspace_bytes = 0;
};

std::string key_of(const char* use, CudaStream stream, const Im2col& s, int64_t O, DType dtype) {
  std::ostringstream key;
  static const std::vector<CudaDevice> devices = cuda_devices();
  key << use << ' ' << devices[size_t(stream.device)].name << ", cuDNN " << dnn()->GetVersion()
      << ": " << dtype << (tf32_allowed() ? " tf32" : "") << ' ' << s.B << 'x' << s.H << 'x' << s.W
      << 'x' << s.C << ' ' << s.kernel_h << 'x' << s.kernel_w << " to " << O << ", stride "
      << s.stride << ", pad " << s.pad;
  return key.str();
}

// find() asked once for every key.
template <class F>
Plan planned(const std::string& key, F find) {
  static auto* const cache = new PlanCache("convolutions");
  Plan plan;
  if (const auto bytes = cache->find(key); bytes && bytes->size() == sizeof plan) {
    std::memcpy(&plan, bytes->data(), sizeof plan);
    if (plan.workspace_bytes >= 0) return plan;  // a file is foreign
  }
  plan = find();
  std::string bytes(sizeof plan, '\0');
  std::memcpy(bytes.data(), &plan, sizeof plan);
  cache->insert(key, bytes);
  return plan;
}

// The first of the answers, best first, that gives equal bits in every run.
template <class Answer>
Plan deterministic(const Answer* answers, int count) {
  for (int i = 0; i < count; ++i)
    if (answers[i].status == CUDNN_STATUS_SUCCESS && answers[i].determinism == CUDNN_DETERMINISTIC)
      return {int32_t(answers[i].algo), int64_t(answers[i].memory)};
  return {};
}

Tensor workspace_of(const Plan& plan, const Tensor& beside) {
  return empty({std::max<int64_t>(plan.workspace_bytes, 1)}, {DType::u8, beside.device()});
}

void* address(const Tensor& x) { return x.storage()->data() + x.offset() * size_of(x.dtype()); }

constexpr int kAnswers = 8;
constexpr float kOne = 1, kZero = 0;

std::mutex g_mutex;  // of handles

}  // namespace

std::string cudnn_version() {
  if (!dnn()) return "";
  const size_t v = dnn()->GetVersion(), major = v < 90000 ? 1000 : 10000;  // 91300 is 9.13.0
  return std::to_string(v / major) + "." + std::to_string(v % major / 100) + "." +
         std::to_string(v % 100);
}

bool cudnn_forward(CudaStream stream, const Im2col& shape, const Tensor& x, const Tensor& weight,
                   const Tensor& bias, const Tensor& residual, bool relu, Tensor& y) {
  if (!dnn()) return false;
  const std::lock_guard lock(g_mutex);
  const Dnn& f = *dnn();
  const int64_t O = weight.dim(0);
  Convolution c;
  if (!describe(shape, O, x.dtype(), c)) return false;
  const cudnnHandle_t handle = handle_of(stream);
  cudnnActivationDescriptor_t made = nullptr;
  if (!good(f.CreateActivationDescriptor(&made), "an activation")) return false;
  const Owned<cudnnActivationStruct> activation(made);
  const cudnnActivationMode_t mode = relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY;
  if (!good(f.SetActivationDescriptor(made, mode, CUDNN_PROPAGATE_NAN, 0), "an activation"))
    return false;
  // The one algorithm that goes with every epilogue, and it is deterministic.
  constexpr auto kAlgorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
  const Plan plan = planned(key_of("forward", stream, shape, O, x.dtype()), [&]() -> Plan {
    size_t bytes = 0;
    if (!good(f.GetConvolutionForwardWorkspaceSize(handle, c.x.get(), c.weight.get(),
                                                   c.convolution.get(), c.y.get(), kAlgorithm,
                                                   &bytes),
              "a workspace"))
      return {};
    return {int32_t(kAlgorithm), int64_t(bytes)};
  });
  if (plan.algorithm < 0) return false;
  const Tensor workspace = workspace_of(plan, x);
  const Tensor added = bias.defined() ? bias : zeros({O}, x.options());
  return good(f.ConvolutionBiasActivationForward(
                  handle, &kOne, c.x.get(), address(x), c.weight.get(), address(weight),
                  c.convolution.get(), kAlgorithm, address(workspace), size_t(plan.workspace_bytes),
                  residual.defined() ? &kOne : &kZero, c.y.get(),
                  residual.defined() ? address(residual) : address(y), c.bias.get(), address(added),
                  activation.get(), c.y.get(), address(y)),
              "a convolution");
}

bool cudnn_input_gradient(CudaStream stream, const Im2col& shape, const Tensor& dy,
                          const Tensor& weight, Tensor& dx) {
  if (!dnn()) return false;
  const std::lock_guard lock(g_mutex);
  const Dnn& f = *dnn();
  Convolution c;
  if (!describe(shape, weight.dim(0), dy.dtype(), c)) return false;
  const cudnnHandle_t handle = handle_of(stream);
  const std::string key = key_of("input gradient", stream, shape, weight.dim(0), dy.dtype());
  const Plan plan = planned(key, [&]() -> Plan {
    cudnnConvolutionBwdDataAlgoPerf_t answers[kAnswers];
    int count = 0;
    if (!good(f.GetConvolutionBackwardDataAlgorithm_v7(handle, c.weight.get(), c.y.get(),
                                                       c.convolution.get(), c.x.get(), kAnswers,
                                                       &count, answers),
              "choosing an algorithm"))
      return {};
    return deterministic(answers, count);
  });
  if (plan.algorithm < 0) return false;
  const Tensor workspace = workspace_of(plan, dy);
  return good(f.ConvolutionBackwardData(
                  handle, &kOne, c.weight.get(), address(weight), c.y.get(), address(dy),
                  c.convolution.get(), cudnnConvolutionBwdDataAlgo_t(plan.algorithm),
                  address(workspace), size_t(plan.workspace_bytes), &kZero, c.x.get(), address(dx)),
              "the gradient of a map");
}

bool cudnn_weight_gradient(CudaStream stream, const Im2col& shape, const Tensor& dy,
                           const Tensor& x, Tensor& dweight) {
  if (!dnn()) return false;
  const std::lock_guard lock(g_mutex);
  const Dnn& f = *dnn();
  const int64_t O = dweight.dim(0);
  Convolution c;
  if (!describe(shape, O, dy.dtype(), c)) return false;
  const cudnnHandle_t handle = handle_of(stream);
  const Plan plan = planned(key_of("weight gradient", stream, shape, O, dy.dtype()), [&]() -> Plan {
    cudnnConvolutionBwdFilterAlgoPerf_t answers[kAnswers];
    int count = 0;
    if (!good(f.GetConvolutionBackwardFilterAlgorithm_v7(handle, c.x.get(), c.y.get(),
                                                         c.convolution.get(), c.weight.get(),
                                                         kAnswers, &count, answers),
              "choosing an algorithm"))
      return {};
    return deterministic(answers, count);
  });
  if (plan.algorithm < 0) return false;
  const Tensor workspace = workspace_of(plan, dy);
  return good(f.ConvolutionBackwardFilter(
                  handle, &kOne, c.x.get(), address(x), c.y.get(), address(dy), c.convolution.get(),
                  cudnnConvolutionBwdFilterAlgo_t(plan.algorithm), address(workspace),
                  size_t(plan.workspace_bytes), &kZero, c.weight.get(), address(dweight)),
              "the gradient of a weight");
}

}  // namespace fathom::cuda

#else  // compiled without cuDNN's header

namespace fathom::cuda {

std::string cudnn_version() { return ""; }

bool cudnn_forward(CudaStream, const Im2col&, const Tensor&, const Tensor&, const Tensor&,
                   const Tensor&, bool, Tensor&) {
  return false;
}
bool cudnn_input_gradient(CudaStream, const Im2col&, const Tensor&, const Tensor&, Tensor&) {
  return false;
}
bool cudnn_weight_gradient(CudaStream, const Im2col&, const Tensor&, const Tensor&, Tensor&) {
  return false;
}

}  // namespace fathom::cuda

#endif
