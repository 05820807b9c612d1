#include "kernels/cuda/elementwise.h"

#include "kernels/elementwise.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

// One op: its launcher, the CPU's, its definition, and its roundings in float.
template <class T>
struct Op {
  const char* name;
  void (*launch)(const T* a, const T* b, T* y, int64_t N);  // a unary one leaves b alone
  void (*on_cpu)(const Tensor& a, const Tensor& b, Tensor& y);
  double (*define)(double a, double b);
  double roundings;
};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// exp within 2 ulp, the quotient within 2, a sum: 9 half ulps.
template <class T>
std::vector<Op<T>> ops() {
  return {
      {"add", [](auto a, auto b, auto y, auto N) { cuda::add_forward<T>(nullptr, a, b, y, N); },
       [](auto& a, auto& b, auto& y) { kernels::add_forward(CpuStream{}, a, b, y); },
       [](double a, double b) { return a + b; }, 1},
      {"sub", [](auto a, auto b, auto y, auto N) { cuda::sub_forward<T>(nullptr, a, b, y, N); },
       [](auto& a, auto& b, auto& y) { kernels::sub_forward(CpuStream{}, a, b, y); },
       [](double a, double b) { return a - b; }, 1},
      {"mul", [](auto a, auto b, auto y, auto N) { cuda::mul_forward<T>(nullptr, a, b, y, N); },
       [](auto& a, auto& b, auto& y) { kernels::mul_forward(CpuStream{}, a, b, y); },
       [](double a, double b) { return a * b; }, 1},
      {"scale", [](auto a, auto, auto y, auto N) { cuda::scale_forward<T>(nullptr, a, 0.7, y, N); },
       [](auto& a, auto&, auto& y) { kernels::scale_forward(CpuStream{}, a, 0.7, y); },
       [](double a, double) { return 0.7 * a; }, 2},
      {"relu", [](auto a, auto, auto y, auto N) { cuda::relu_forward<T>(nullptr, a, y, N); },
       [](auto& a, auto&, auto& y) { kernels::relu_forward(CpuStream{}, a, y); },
       [](double a, double) { return a < 0 ? 0 : a; }, 0},
      {"relu backward",
       [](auto a, auto b, auto y, auto N) { cuda::relu_backward<T>(nullptr, a, b, y, N); },
       [](auto& a, auto& b, auto& y) { kernels::relu_backward(CpuStream{}, a, b, y); },
       [](double a, double b) { return a > 0 ? b : 0; }, 0},
      {"sigmoid", [](auto a, auto, auto y, auto N) { cuda::sigmoid_forward<T>(nullptr, a, y, N); },
       [](auto& a, auto&, auto& y) { kernels::sigmoid_forward(CpuStream{}, a, y); },
       [](double a, double) { return logistic(a); }, 9},
      {"sigmoid backward",
       [](auto a, auto b, auto y, auto N) { cuda::sigmoid_backward<T>(nullptr, a, b, y, N); },
       [](auto& a, auto& b, auto& y) { kernels::sigmoid_backward(CpuStream{}, a, b, y); },
       [](double a, double b) { return b * a * (1 - a); }, 3},
  };
}

// Results below the normal range of T are off by half of its smallest number at most.
template <class T>
double underflow() {
  return dtype_of<T>() == DType::f16 ? 0x1p-25 : 0x1p-133;
}

template <class T>
void check_op(const Op<T>& op, const std::vector<T>& a, const std::vector<T>& b, int schedules) {
  CAPTURE(op.name, dtype_of<T>(), a.size());
  const int64_t N = int64_t(a.size());
  std::vector<double> expected, allowed;
  for (int64_t i = 0; i < N; ++i) {
    expected.push_back(op.define(cast<double>(a[i]), cast<double>(b[i])));
    allowed.push_back(std::abs(expected[i]) * (op.roundings * rounding<float>() + rounding<T>()) +
                      underflow<T>());
  }
  Tensor y = empty({N}, {dtype_of<T>()});
  op.on_cpu(tensor_of({N}, a), tensor_of({N}, b), y);
  under_schedules(schedules, [&] {
    DeviceArray<T> da(a), db(b), dy(a.size());
    op.launch(da, db, dy, N);
    CHECK(within(dy.get(), expected, allowed));
    CHECK(within(dy.get(), values(y), twice(allowed)));
  });
}

}  // namespace

TEMPLATE_TEST_CASE("cuda elementwise: match their definitions", "", float, bfloat16, float16) {
  // One element, one off a vector, more than a block with a tail.
  const size_t N = GENERATE(1, 7, 8, 17, 4096 + 13);
  for (const auto& op : ops<TestType>())
    check_op(op, normal<TestType>(N, 1), normal<TestType>(N, 2), N < 100 ? 1 : 0);
}

TEST_CASE("cuda elementwise: special values") {
  const float inf = INFINITY;
  const std::vector<float> a{-inf, inf, NAN, 1, NAN, -0.0f, 1e4f, -1e4f, 1e38f, 1e-45f},
      b{inf, inf, 1, NAN, NAN, 0.0f, 1e-4f, -1e4f, 0.1f, 1};
  for (const auto& op : ops<float>()) {
    if (op.name == std::string("sigmoid backward")) continue;  // its input is in (0, 1)
    if (op.name == std::string("relu backward")) continue;     // below
    check_op(op, a, b, 0);
  }
  under_schedules(0, [&] {
    const std::vector<float> y{NAN, 0, 1, 2};
    DeviceArray<float> dy(std::vector<float>{1, 2, NAN, 4}), at(y), dx(4);
    cuda::relu_backward<float>(nullptr, at, dy, dx, 4);
    CHECK(within(dx.get(), {0, 0, NAN, 4}, std::vector<double>(4, 0.0)));
  });
}

TEST_CASE("cuda elementwise: unaligned arrays, and an output over its input") {
  const int64_t N = 37;
  const auto a = normal<bfloat16>(N + 1, 1), b = normal<bfloat16>(N + 1, 2);
  under_schedules(1, [&] {
    DeviceArray<bfloat16> da(a), db(b), dy(N + 1), aligned(N);
    cuda::mul_forward<bfloat16>(nullptr, da, db, aligned, N);
    cuda::mul_forward<bfloat16>(nullptr, da, db, dy + 1, N);
    const auto expected = widened(aligned.get());
    auto shifted = dy.get();
    shifted.erase(shifted.begin());
    CHECK(within(shifted, expected, std::vector<double>(N, 0.0)));
    DeviceArray<bfloat16> later(N);  // the products from the second on
    cuda::mul_forward<bfloat16>(nullptr, da + 1, db + 1, later, N);
    for (int64_t i = 0; i + 1 < N; ++i) REQUIRE(widened(later.get())[i] == expected[i + 1]);
    cuda::mul_forward<bfloat16>(nullptr, da, db, da, N);
    auto in_place = da.get();
    in_place.pop_back();
    CHECK(within(in_place, expected, std::vector<double>(N, 0.0)));
  });
}

}  // namespace fathom
