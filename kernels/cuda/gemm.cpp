#include "kernels/cuda/gemm.h"

#include <atomic>
#include <bit>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>

#include "core/cuda.h"
#include "core/cuda/library.h"
#include "core/cuda/plan_cache.h"

#if __has_include(<cublasLt.h>)
#define FATHOM_HAS_CUBLASLT 1
#include <cublasLt.h>
#endif

namespace fathom::cuda {

static std::atomic<bool> g_tf32{false};
void allow_tf32(bool on) { g_tf32 = on; }
bool tf32_allowed() { return g_tf32; }

#ifdef FATHOM_HAS_CUBLASLT

namespace {

// cuBLASLt, whose functions carry their names and types from its header.
struct Lt {
  Library library{"cuBLASLt", {"libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR)}};
#define FATHOM_FUNCTION(name) \
  decltype(::cublasLt##name)* name = find<decltype(::cublasLt##name)>(#name)
  FATHOM_FUNCTION(Create);
  FATHOM_FUNCTION(GetStatusString);
  FATHOM_FUNCTION(GetVersion);
  FATHOM_FUNCTION(Matmul);
  FATHOM_FUNCTION(MatmulAlgoCheck);
  FATHOM_FUNCTION(MatmulAlgoGetHeuristic);
  FATHOM_FUNCTION(MatmulDescCreate);
  FATHOM_FUNCTION(MatmulDescDestroy);
  FATHOM_FUNCTION(MatmulDescSetAttribute);
  FATHOM_FUNCTION(MatmulPreferenceCreate);
  FATHOM_FUNCTION(MatmulPreferenceDestroy);
  FATHOM_FUNCTION(MatmulPreferenceSetAttribute);
  FATHOM_FUNCTION(MatrixLayoutCreate);
  FATHOM_FUNCTION(MatrixLayoutDestroy);
#undef FATHOM_FUNCTION

  template <class F>
  F* find(const char* name) {
    return library.function<F>((std::string("cublasLt") + name).c_str());
  }
};

const Lt& lt() {
  static const Lt* const functions = new Lt;
  return *functions;
}

void must(cublasStatus_t status, const char* tried) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail("cuBLASLt: ", tried, ": ", lt().GetStatusString(status));
}

struct Destroy {
  void operator()(cublasLtMatmulDescOpaque_t* x) const noexcept { lt().MatmulDescDestroy(x); }
  void operator()(cublasLtMatrixLayoutOpaque_t* x) const noexcept { lt().MatrixLayoutDestroy(x); }
  void operator()(cublasLtMatmulPreferenceOpaque_t* x) const noexcept {
    lt().MatmulPreferenceDestroy(x);
  }
};
using Description = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy>;
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy>;

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return CUDA_R_32F;
    case DType::f16: return CUDA_R_16F;
    case DType::bf16: return CUDA_R_16BF;
    default: fail("gemm: CUDA products are of f32, f16 or bf16, not ", dtype);
  }
}

Layout make_layout(DType dtype, int64_t rows, int64_t columns) {
  cublasLtMatrixLayout_t layout = nullptr;
  must(lt().MatrixLayoutCreate(&layout, type_of(dtype), uint64_t(rows), uint64_t(columns), rows),
       "a matrix layout");
  return Layout(layout);
}

template <class T>
void set(const Description& description, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  must(lt().MatmulDescSetAttribute(description.get(), attribute, &value, sizeof value),
       "an attribute of a product");
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
  must(lt().MatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
       "a preference of a product");
}

// A row-major matrix is the column-major one of its transpose, so c^T = op(b)^T op(a)^T is asked
// for: the library's first operand is b.
struct Plan {
  Description description;
  Layout first, second, result;
  cublasLtMatmulAlgo_t algorithm;
};

constexpr int64_t kWorkspaceBytes = int64_t(32) << 20;

// Of a stream: products on it run one after another.
struct Handle {
  cublasLtHandle_t handle = nullptr;
  Tensor workspace;
};

uint32_t alignment_of(const void* p) {
  return uint32_t(1) << std::min(std::countr_zero(reinterpret_cast<uintptr_t>(p) | 256), 8);
}

std::string key_of(const Gemm& g) {
  std::ostringstream key;
  key << g.dtype << ' ' << g.c_dtype << ' ' << g.M << 'x' << g.N << 'x' << g.K
      << (g.transpose_a ? " at" : "") << (g.transpose_b ? " bt" : "") << (g.bias ? " bias" : "")
      << (g.add ? " add" : "") << (g.relu ? " relu" : "") << (g_tf32 ? " tf32" : "") << ' '
      << alignment_of(g.a) << ' ' << alignment_of(g.b) << ' ' << alignment_of(g.c) << ' '
      << (g.add ? alignment_of(g.add) : 0);
  return key.str();
}

Plan make_plan(const Gemm& g, cublasLtHandle_t handle, int device) {
  Plan plan;
  const bool tf32 = g.dtype == DType::f32 && g_tf32;
  cublasLtMatmulDesc_t description = nullptr;
  must(lt().MatmulDescCreate(&description, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                             CUDA_R_32F),
       "a description of a product");
  plan.description.reset(description);
  const auto transposed = [](bool on) { return on ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(plan.description, CUBLASLT_MATMUL_DESC_TRANSA, transposed(g.transpose_b));
  set(plan.description, CUBLASLT_MATMUL_DESC_TRANSB, transposed(g.transpose_a));
  const cublasLtEpilogue_t epilogue = g.bias && g.relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                      : g.bias         ? CUBLASLT_EPILOGUE_BIAS
                                      : g.relu         ? CUBLASLT_EPILOGUE_RELU
                                                       : CUBLASLT_EPILOGUE_DEFAULT;
  set(plan.description, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
  if (g.bias) set(plan.description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias);
  plan.first = g.transpose_b ? make_layout(g.dtype, g.K, g.N) : make_layout(g.dtype, g.N, g.K);
  plan.second = g.transpose_a ? make_layout(g.dtype, g.M, g.K) : make_layout(g.dtype, g.K, g.M);
  plan.result = make_layout(g.c_dtype, g.N, g.M);

  // An algorithm of an earlier run is checked: a file is foreign.
  static auto* const kept = new PlanCache("products");
  static const std::vector<CudaDevice> devices = cuda_devices();
  const std::string kept_key = devices[size_t(device)].name + ", cuBLASLt " +
                               std::to_string(lt().GetVersion()) + ": " + key_of(g);
  cublasLtMatmulHeuristicResult_t found{};
  if (const auto bytes = kept->find(kept_key); bytes && bytes->size() == sizeof plan.algorithm) {
    std::memcpy(&plan.algorithm, bytes->data(), sizeof plan.algorithm);
    if (lt().MatmulAlgoCheck(handle, plan.description.get(), plan.first.get(), plan.second.get(),
                             plan.result.get(), plan.result.get(), &plan.algorithm,
                             &found) == CUBLAS_STATUS_SUCCESS &&
        found.workspaceSize <= size_t(kWorkspaceBytes))
      return plan;
  }

  cublasLtMatmulPreference_t made = nullptr;
  must(lt().MatmulPreferenceCreate(&made), "a preference");
  const Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(kWorkspaceBytes));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(g.b));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(g.a));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(g.add ? g.add : g.c));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(g.c));
  // Parts of a sum that was split are added in float and in order.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  int count = 0;
  must(lt().MatmulAlgoGetHeuristic(handle, plan.description.get(), plan.first.get(),
                                   plan.second.get(), plan.result.get(), plan.result.get(),
                                   preference.get(), 1, &found, &count),
       "choosing an algorithm");
  check(count > 0, "cuBLASLt knows no algorithm");
  plan.algorithm = found.algo;
  std::string bytes(sizeof plan.algorithm, '\0');
  std::memcpy(bytes.data(), &plan.algorithm, sizeof plan.algorithm);
  kept->insert(kept_key, bytes);
  return plan;
}

}  // namespace

std::string cublaslt_version() {
  const size_t v = lt().GetVersion();  // 130002 is 13.0.2
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." +
         std::to_string(v % 100);
}

void gemm(CudaStream stream, const Gemm& g) {
  check(!g.bias || g.c_dtype == g.dtype, "gemm: a bias needs a result of its own dtype");
  static std::mutex mutex;  // a plan's bias pointer is set and used under it
  static auto* const handles = new std::map<CUstream_st*, Handle>;
  static auto* const plans = new std::map<std::string, Plan>;
  try {
    const std::lock_guard lock(mutex);
    Handle& own = (*handles)[stream.handle];
    if (!own.handle) {
      own.workspace = empty({kWorkspaceBytes}, {DType::u8, {Device::Type::cuda, stream.device}});
      must(lt().Create(&own.handle), "a handle");
    }
    const std::string key = std::to_string(stream.device) + ' ' + key_of(g);
    auto it = plans->find(key);
    if (it == plans->end()) it = plans->emplace(key, make_plan(g, own.handle, stream.device)).first;
    const Plan& plan = it->second;
    if (g.bias) set(plan.description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias);
    const float alpha = 1, beta = g.add ? 1 : 0;
    must(lt().Matmul(own.handle, plan.description.get(), &alpha, g.b, plan.first.get(), g.a,
                     plan.second.get(), &beta, g.add ? g.add : g.c, plan.result.get(), g.c,
                     plan.result.get(), &plan.algorithm, own.workspace.device_data<uint8_t>(),
                     size_t(kWorkspaceBytes), stream.handle),
         "a product");
  } catch (const Error& error) {
    throw Error(std::string(error.what()) + " (product [" + std::to_string(g.M) + ", " +
                    std::to_string(g.K) + "] x [" + std::to_string(g.K) + ", " +
                    std::to_string(g.N) + "])",
                error.where());
  }
}

#else

std::string cublaslt_version() { return ""; }

void gemm(CudaStream stream, const Gemm&) {
  fail("products on cuda:", stream.device,
       " need cuBLASLt, whose header was not there when this program was built");
}

#endif

}  // namespace fathom::cuda
