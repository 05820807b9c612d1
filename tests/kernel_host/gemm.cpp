// kernels/cuda/gemm.h as its definition: stands for the library, not for a kernel. And cuDNN,
// absent.
#include "kernels/cuda/gemm.h"

#include <vector>

#include "core/gpu.h"
#include "kernels/cuda/cudnn.h"
#include "tests/kernel_host/capture.h"

namespace fathom::cuda {
namespace {

std::vector<float> floats(const void* device, DType dtype, int64_t count) {
  std::vector<float> result(static_cast<size_t>(count));
  visit_any(dtype, [&]<class T>(Tag<T>) {
    std::vector<uint8_t> bytes(result.size() * sizeof(T));
    gpu::copy_out(bytes.data(), device, bytes.size());
    const T* values = reinterpret_cast<const T*>(bytes.data());
    for (size_t i = 0; i < result.size(); ++i) result[i] = cast<float>(values[i]);
  });
  return result;
}

void store(void* device, DType dtype, const std::vector<float>& values) {
  visit_any(dtype, [&]<class T>(Tag<T>) {
    std::vector<uint8_t> bytes(values.size() * sizeof(T));
    T* out = reinterpret_cast<T*>(bytes.data());
    for (size_t i = 0; i < values.size(); ++i) out[i] = cast<T>(values[i]);
    gpu::copy_in(device, bytes.data(), bytes.size());
  });
}

bool g_tf32 = false;

}  // namespace

std::string cublaslt_version() { return ""; }
std::string cudnn_version() { return ""; }

void allow_tf32(bool on) { g_tf32 = on; }
bool tf32_allowed() { return g_tf32; }

static void multiply(const Gemm& g) {
  check(g.dtype == DType::f32 || g.dtype == DType::f16 || g.dtype == DType::bf16,
        "gemm: CUDA products are of f32, f16 or bf16, not ", g.dtype);
  const int64_t M = g.M, N = g.N, K = g.K;
  const std::vector<float> a = floats(g.a, g.dtype, M * K), b = floats(g.b, g.dtype, K * N);
  std::vector<float> bias, c(size_t(M * N));
  if (g.bias) bias = floats(g.bias, g.dtype, N);
  if (g.add) c = floats(g.add, g.c_dtype, M * N);
  std::vector<float> sums(static_cast<size_t>(N));
  for (int64_t m = 0; m < M; ++m) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (int64_t k = 0; k < K; ++k) {
      const float factor = a[size_t(g.transpose_a ? k * M + m : m * K + k)];
      const float* row = b.data() + (g.transpose_b ? k : k * N);
      const int64_t step = g.transpose_b ? K : 1;
      for (int64_t n = 0; n < N; ++n) sums[size_t(n)] += factor * row[n * step];
    }
    for (int64_t n = 0; n < N; ++n) {
      float& out = c[size_t(m * N + n)];
      out += sums[size_t(n)] + (g.bias ? bias[size_t(n)] : 0);
      if (g.relu && out < 0) out = 0;  // a NaN stays
    }
  }
  store(g.c, g.c_dtype, c);
}

void gemm(CudaStream, const Gemm& g) {
  if (gpu::host::is_capturing()) return gpu::host::capture([g] { multiply(g); });
  multiply(g);
}

// There is no cuDNN here: convolutions are products of columns.
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
