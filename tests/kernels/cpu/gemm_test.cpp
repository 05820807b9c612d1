#include "kernels/cpu/gemm.h"

#include "core/parallel.h"
#include "tests/kernels/cpu/matrices.h"

namespace fathom::cpu {

ThreadScope::ThreadScope(int count) : previous(thread_count()) { set_thread_count(count); }
ThreadScope::~ThreadScope() { set_thread_count(previous); }

template <class T>
static std::vector<T> packed(Matrix<T>& b, bool transposed) {
  const int64_t K = transposed ? b.columns : b.rows, N = transposed ? b.rows : b.columns;
  std::vector<T> panels(size_t(packed_size<T>(K, N)), Matrix<T>::nan());
  pack(b.data(), b.stride, transposed, K, N, panels.data());
  return panels;
}

static double gelu_of(double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }

/// The largest error of c against a b^T, in units of its bound.
///
/// Bound of one element: the sum of K products has a rounding error of about sqrt(K) u times the
/// sum of magnitudes (Higham and Mary 2019, with a factor of 2 for the tail of the distribution),
/// then a few operations of the epilogue, then one rounding to T.
template <class T>
struct Expected {
  Matrix<T>&a, &w;  // c = a w^T
  const Epilogue<T>& e;
  Matrix<T>*bias = nullptr, *gamma = nullptr, *residual = nullptr, *residual2 = nullptr;

  double sum(int64_t m, int64_t n, double& magnitude) const {
    double s = 0;
    magnitude = 0;
    for (int64_t k = 0; k < a.columns; ++k) {
      s += a(m, k) * w(n, k);
      magnitude += std::abs(a(m, k) * w(n, k));
    }
    if (bias) {
      s += (*bias)(0, n);
      magnitude += std::abs((*bias)(0, n));
    }
    return s;
  }

  double worst(const Matrix<T>& c, const Matrix<T>* pre = nullptr) const {
    double worst = 0;
    const double u = sum_rounding<T>(), terms = 2 * std::sqrt(double(a.columns)) + 4;
    for (int64_t m = 0; m < c.rows; ++m) {
      for (int64_t n = 0; n < c.columns; ++n) {
        double magnitude;
        double s = sum(m, n, magnitude);
        double bound = terms * u * magnitude;
        if (pre) {
          const double allowed = bound + rounding<T>() * std::abs(s);
          worst = std::max(worst, std::abs((*pre)(m, n) - s) / allowed);
        }
        if (e.activation == Activation::relu) s = std::max(s, 0.0);
        if (e.activation == Activation::gelu) {
          bound = 1.13 * bound + 4 * u * std::max(1.0, std::abs(s));  // |gelu'| < 1.13
          s = gelu_of(s);
        }
        double scale = std::abs(s);
        if (gamma) {
          s *= (*gamma)(0, n);
          bound *= std::abs((*gamma)(0, n));
          scale *= std::abs((*gamma)(0, n));
        }
        for (const Matrix<T>* r : {residual, residual2}) {
          if (!r) continue;
          s += (*r)(m, n);
          scale += std::abs((*r)(m, n));
        }
        const double allowed = bound + 4 * u * scale + rounding<T>() * std::abs(s) + 1e-300;
        const double error = std::abs(c(m, n) - s);
        worst = std::isnan(error) ? 1e300 : std::max(worst, error / allowed);
      }
    }
    return worst;
  }
};

TEMPLATE_TEST_CASE("gemm: matches the double loop at every odd size", "", float, double, Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  struct Size {
    int64_t M, K, N;
  };
  for (const auto [M, K, N] : {Size{1, 1, 1},
                               {7, 1, 16},
                               {1, 33, 7},
                               {13, 31, 47},
                               {14, 64, 32},
                               {15, 7, 33},
                               {29, 33, 31},
                               {97, 2, 17},
                               {53, 127, 61},
                               {200, 65, 300},
                               {31, 2111, 50}}) {
    CAPTURE(name_of(isa), M, K, N);
    Matrix<T> a(M, K, 3, 1), w(N, K, 0, 2), c(M, N, 5, 3);
    const auto b = packed(w, true);
    const GemmArgs<T> args{.a = a.data(),
                           .a_stride = a.stride,
                           .b = b.data(),
                           .c = c.data(),
                           .c_stride = c.stride,
                           .M = M,
                           .N = N,
                           .K = K,
                           .epilogue = {}};
    gemm(args);
    CHECK(Expected<T>{a, w, args.epilogue}.worst(c) <= 1);
    CHECK(c.intact());
  }
}

TEMPLATE_TEST_CASE("gemm: packing from [K,N] and from [N,K] agree, and unpack", "", float, double,
                   Bf16) {
  using T = TestType;
  for (const auto& [K, N] : {std::pair<int64_t, int64_t>{1, 1}, {33, 47}, {384, 31}, {7, 16}}) {
    Matrix<T> w(N, K, 2, 4), transposed(K, N, 1, 0);
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k)
        transposed.data()[k * transposed.stride + n] = from_double<T>(w(n, k));
    const auto b = packed(w, true);
    CHECK(same_bits(b, packed(transposed, false)));
    Matrix<T> back(N, K, 0, 0);
    unpack_transposed(b.data(), K, N, back.data());
    bool equal = true;
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k) equal &= back(n, k) == w(n, k);
    CHECK(equal);
  }
}

TEMPLATE_TEST_CASE("gemm: every epilogue", "", float, double, Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  const int64_t M = 31, N = 47;
  for (const int64_t K : {33, 2113}) {  // one block of K, several
    for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu}) {
      CAPTURE(name_of(isa), K, int(activation));
      const double scale = 1 / std::sqrt(double(K));
      Matrix<T> a(M, K, 1, 1), w(N, K, 0, 2, 2 * scale), bias(1, N, 0, 3), gamma(1, N, 0, 4),
          residual(M, N, 2, 5), residual2(M, N, 2, 6), c(M, N, 5, 7), pre(M, N, 1, 8);
      const auto b = packed(w, true);
      GemmArgs<T> args{.a = a.data(),
                       .a_stride = a.stride,
                       .b = b.data(),
                       .c = c.data(),
                       .c_stride = c.stride,
                       .M = M,
                       .N = N,
                       .K = K,
                       .epilogue = {.bias = bias.data(),
                                    .pre_activation = pre.data(),
                                    .activation = activation,
                                    .gamma = gamma.data(),
                                    .residual = residual.data(),
                                    .residual2 = residual2.data(),
                                    .residual_stride = residual.stride,
                                    .pre_activation_stride = pre.stride}};
      gemm(args);
      CHECK(Expected<T>{a, w, args.epilogue, &bias, &gamma, &residual, &residual2}.worst(c, &pre) <=
            1);
      CHECK((c.intact() && pre.intact()));
    }
  }
}

TEMPLATE_TEST_CASE("gemm: the residual may be the output", "", float, Bf16) {
  using T = TestType;
  Matrix<T> a(45, 20, 0, 1), w(35, 20, 0, 2), c(45, 35, 0, 3);
  Matrix<T> before = c;
  const auto b = packed(w, true);
  const GemmArgs<T> args{.a = a.data(),
                         .a_stride = a.stride,
                         .b = b.data(),
                         .c = c.data(),
                         .c_stride = c.stride,
                         .M = 45,
                         .N = 35,
                         .K = 20,
                         .epilogue = {.residual = c.data()}};
  gemm(args);
  CHECK(Expected<T>{a, w, args.epilogue, nullptr, nullptr, &before}.worst(c) <= 1);
}

TEMPLATE_TEST_CASE("gemm: equal bits for 1, 2 and 3 threads", "", float, double, Bf16) {
  using T = TestType;
  Matrix<T> a(501, 333, 0, 1), w(523, 333, 0, 2), c(501, 523, 0, 3);
  const auto b = packed(w, true);
  std::vector<T> first;
  for (const int threads : {1, 2, 3}) {
    const ThreadScope scope(threads);
    gemm<T>({.a = a.data(),
             .a_stride = a.stride,
             .b = b.data(),
             .c = c.data(),
             .c_stride = c.stride,
             .M = 501,
             .N = 523,
             .K = 333,
             .epilogue = {}});
    if (threads == 1) first = c.storage;
    CHECK(same_bits(first, c.storage));
  }
}

TEMPLATE_TEST_CASE("outer_sum, column_sum: match the double loop at every odd size", "", float,
                   double, Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  struct Size {
    int64_t M, I, J;
  };
  for (const auto [M, I, J] : {Size{1, 1, 1},
                               {7, 33, 15},
                               {255, 14, 32},
                               {257, 31, 47},
                               {513, 7, 97},
                               {1370, 19, 31},
                               {1300, 180, 200},
                               {300, 200, 230},
                               {2049, 3, 1}}) {
    CAPTURE(name_of(isa), M, I, J);
    Matrix<T> y(M, I, 3, 1), x(M, J, 1, 2);
    Matrix<Sum<T>> out(I, J, 0, 3), columns(1, I, 0, 4);
    outer_sum<T>({.y = y.data(),
                  .y_stride = y.stride,
                  .x = x.data(),
                  .x_stride = x.stride,
                  .out = out.data(),
                  .out_stride = J,
                  .M = M,
                  .I = I,
                  .J = J});
    column_sum<T>(y.data(), y.stride, M, I, columns.data());
    // sqrt(M) roundings of the magnitudes, as for gemm above; no rounding to T.
    const double terms = (2 * std::sqrt(double(M)) + 4) * sum_rounding<T>();
    double worst = 0, worst_column = 0;
    for (int64_t i = 0; i < I; ++i) {
      double total = 0, size = 0;
      for (int64_t m = 0; m < M; ++m) {
        total += y(m, i);
        size += std::abs(y(m, i));
      }
      worst_column = std::max(worst_column, std::abs(columns(0, i) - total) / (terms * size));
      for (int64_t j = 0; j < J; ++j) {
        double sum = 0, magnitude = 0;
        for (int64_t m = 0; m < M; ++m) {
          sum += y(m, i) * x(m, j);
          magnitude += std::abs(y(m, i) * x(m, j));
        }
        const double error = std::abs(out(i, j) - sum) / (terms * magnitude);
        worst = std::isnan(error) ? 1e300 : std::max(worst, error);
      }
    }
    CHECK(worst <= 1);
    CHECK(worst_column <= 1);
    CHECK((out.intact() && columns.intact()));
  }
}

TEMPLATE_TEST_CASE("outer_sum, column_sum: equal bits for 1, 2 and 3 threads", "", float, double,
                   Bf16) {
  using T = TestType;
  const int64_t M = 2111, I = 190, J = 210;
  Matrix<T> y(M, I, 0, 1), x(M, J, 0, 2);
  Matrix<Sum<T>> out(I, J, 0, 3), columns(1, I, 0, 4);
  std::vector<Sum<T>> first, first_columns;
  for (const int threads : {1, 2, 3}) {
    const ThreadScope scope(threads);
    outer_sum<T>({.y = y.data(),
                  .y_stride = I,
                  .x = x.data(),
                  .x_stride = J,
                  .out = out.data(),
                  .out_stride = J,
                  .M = M,
                  .I = I,
                  .J = J});
    column_sum<T>(y.data(), I, M, I, columns.data());
    if (threads == 1) {
      first = out.storage;
      first_columns = columns.storage;
    }
    CHECK(same_bits(first, out.storage));
    CHECK(same_bits(first_columns, columns.storage));
  }
}

}  // namespace fathom::cpu
