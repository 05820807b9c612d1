#include "core/tensor.h"

#include <cmath>

#include "core/allocator.h"
#include "tests/testing.h"

namespace fathom {

using Values = std::vector<double>;

static Tensor count_up(const Shape& shape, DType dtype = DType::f32) {
  Values v(size_t(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = double(i);
  return from_values(shape, v, {dtype});
}

TEST_CASE("tensor: makers") {
  CHECK(values(full({2, 2}, 1.5, {DType::bf16})) == Values(4, 1.5));
  CHECK(values(zeros({3}, {DType::u8})) == Values(3, 0));
  CHECK(full({}, 7).item() == 7);
  CHECK(values(from_values({2}, {1, 0}, {DType::boolean})) == Values{1, 0});
  CHECK(empty({3, 5}, {DType::f16}).bytes() == 30);
  CHECK_FALSE(Tensor().defined());
  CHECK_THROWS_WITH(from_values({3}, {1, 2}), "from_values: 2 values for shape [3]");
}

TEST_CASE("tensor: handles share, clones do not") {
  Tensor a = count_up({4});
  Tensor b = a, c = a.clone();
  a.data<float>()[0] = 9;
  CHECK(values(b) == Values{9, 1, 2, 3});
  CHECK(values(c) == Values{0, 1, 2, 3});
}

TEST_CASE("tensor: storage lives as long as its last view") {
  const int64_t before = allocator::statistics().current_bytes;
  Tensor part;
  {
    const Tensor x = count_up({1000});
    part = x.narrow(0, 990, 10).view({2, 5});
  }
  CHECK(allocator::statistics().current_bytes == before + 4000);
  CHECK(values(part) == Values{990, 991, 992, 993, 994, 995, 996, 997, 998, 999});
  part = {};
  CHECK(allocator::statistics().current_bytes == before);
}

TEST_CASE("tensor: views share storage where they can") {
  const Tensor x = count_up({2, 3, 4});
  const Tensor row = x.narrow(1, 2, 1);
  CHECK(row.storage() == x.storage());
  CHECK(values(row) == Values{8, 9, 10, 11, 20, 21, 22, 23});
  CHECK_FALSE(row.is_contiguous());
  CHECK(x.narrow(0, 1, 1).is_contiguous());
  const Tensor turned = x.transpose(0, -1);
  CHECK(turned.shape() == Shape{4, 3, 2});
  CHECK(turned.storage() == x.storage());
  CHECK(values(turned.narrow(0, 0, 1)) == Values{0, 12, 4, 16, 8, 20});
  CHECK(turned.transpose(-1, 0).is_contiguous());
  CHECK(x.view({6, 4}).storage() == x.storage());
  const Tensor flat = turned.view({24});  // must copy
  CHECK(flat.storage() != x.storage());
  CHECK(values(flat) == values(turned));
  CHECK(x.contiguous().storage() == x.storage());
  CHECK(x.dim(-1) == 4);
  CHECK(x.dim(0) == 2);
}

TEST_CASE("tensor: to() converts, and is the tensor itself when there is nothing to convert") {
  const Tensor x = from_values({3}, {1.0009765625, -2, 70000}, {DType::f32});
  CHECK(x.to(DType::f32).storage() == x.storage());
  CHECK(values(x.to(DType::bf16)) == Values{1, -2, 70144});
  CHECK(std::isinf(values(x.to(DType::f16))[2]));
  CHECK(values(x.to(DType::i32)) == Values{1, -2, 70000});
  CHECK(x.to(kCpu).storage() == x.storage());
  const Device absent{Device::Type::cuda, 99};
  CHECK_THROWS_WITH(x.to(absent), Catch::Contains("cuda:99 cannot be used: "));
  CHECK_THROWS_WITH(empty({1}, {DType::f32, absent}), Catch::Contains("cuda:99 cannot be used: "));
}

TEST_CASE("tensor: concat joins along any axis") {
  const Tensor a = count_up({2, 2}), b = count_up({2, 1}).narrow(0, 0, 2);
  CHECK(values(concat(std::vector{a, b}, 1)) == Values{0, 1, 0, 2, 3, 1});
  CHECK(values(concat(std::vector{a, a.transpose(0, 1)}, -2)) == Values{0, 1, 2, 3, 0, 2, 1, 3});
  CHECK(concat(std::vector{a}, 0).storage() != a.storage());
  CHECK_THROWS_WITH(concat({}, 0), Catch::Contains("nothing to join"));
  CHECK_THROWS_WITH(concat(std::vector{a, b}, 0),
                    "concat: [2, 1] does not fit [2, 2] along axis 0");
  CHECK_THROWS_WITH(concat(std::vector{a, count_up({2})}, 0), Catch::Contains("does not fit"));
  CHECK_THROWS_WITH(concat(std::vector{a, a.to(DType::f64)}, 0),
                    Catch::Contains("f32 on cpu and f64 on cpu; convert with to()"));
}

TEST_CASE("tensor: narrow joined by concat is the identity, along every axis") {
  const Tensor x = random_tensor({5, 7, 6});
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<Tensor> parts;
    for (int64_t i = 0; i < x.dim(axis); ++i) parts.push_back(x.narrow(axis, i, 1));
    CHECK(same_bits(concat(parts, axis), x));
  }
}

TEST_CASE("tensor: says what is wrong with a view") {
  const Tensor x = count_up({2, 6});
  CHECK_THROWS_WITH(x.view({13}), "view: [2, 6] has 12 elements, [13] has 13");
  CHECK_THROWS_WITH(x.narrow(1, 4, 3),
                    "narrow: 3 elements from 4 on are not inside axis 1 of [2, 6]");
  CHECK_THROWS_WITH(x.narrow(1, -1, 2), Catch::Contains("are not inside"));
  CHECK_THROWS_WITH(x.narrow(1, 0, 0), Catch::Contains("are not inside"));
  CHECK_THROWS_WITH(x.narrow(1, 1, INT64_MAX), Catch::Contains("are not inside"));
  CHECK_THROWS_WITH(x.dim(2), "axis 2 of a tensor of shape [2, 6]");
  CHECK_THROWS_WITH(x.transpose(0, -3), Catch::Contains("axis -3"));
  CHECK_THROWS_WITH(x.item(), "item(): expected one element, got shape [2, 6]");
}

TEST_CASE("tensor: data() refuses the wrong type, and writing to a mapped file") {
  Tensor x = count_up({3});
  CHECK_THROWS_WITH(x.data<double>(), Catch::Contains("holds f32, not f64"));
  CHECK_THROWS_WITH(Tensor().data<float>(), Catch::Contains("undefined"));
  const auto bytes = std::as_bytes(std::span(x.data<float>(), 3));
  Tensor mapped = Tensor::over(Storage::borrow(bytes, nullptr), {3}, {1}, 0, DType::f32);
  CHECK(values(mapped) == Values{0, 1, 2});
  CHECK_THROWS_WITH(mapped.data<float>(), Catch::Contains("mapped file"));
  CHECK_THROWS_WITH(copy_values(x, mapped), Catch::Contains("mapped file"));
  CHECK(mapped.clone().data<float>()[2] == 2);
}

TEST_CASE("tensor: a borrowed storage keeps its owner alive") {
  const auto owner = std::make_shared<std::array<float, 2>>(std::array<float, 2>{3, 4});
  {
    const Tensor t = Tensor::over(Storage::borrow(std::as_bytes(std::span(*owner)), owner), {2},
                                  {1}, 0, DType::f32);
    CHECK(owner.use_count() == 2);
    CHECK(t.narrow(0, 1, 1).item() == 4);
  }
  CHECK(owner.use_count() == 1);
}

TEST_CASE("tensor: packed weights are refused by everything but their op") {
  const Tensor x = count_up({2, 3});
  const Tensor packed =
      Tensor::over(x.storage(), x.shape(), x.strides(), 0, x.dtype(), Layout::packed);
  CHECK(packed.detach().layout() == Layout::packed);
  CHECK_THROWS_WITH(packed.data<float>(), Catch::Contains("packed"));
  CHECK_THROWS_WITH(packed.contiguous(), Catch::Contains("packed"));
  CHECK_THROWS_WITH(packed.clone(), Catch::Contains("packed"));
  CHECK_THROWS_WITH(packed.view({6}), Catch::Contains("packed"));
  CHECK_THROWS_WITH(packed.narrow(0, 0, 1), Catch::Contains("packed"));
  CHECK_THROWS_WITH(packed.transpose(0, 1), Catch::Contains("packed"));
  CHECK_THROWS_WITH(packed.to(DType::f64), Catch::Contains("packed"));
}

TEST_CASE("tensor: copy_values writes through views and respects the tape") {
  Tensor x = zeros({2, 3});
  Tensor column = x.narrow(1, 1, 1);
  copy_values(from_values({2, 1}, {5, 6}, {DType::f64}), column);
  CHECK(values(x) == Values{0, 5, 0, 0, 6, 0});
  CHECK_THROWS_WITH(copy_values(x, column), Catch::Contains("[2, 3] and [2, 1]"));
  Tensor leaf = zeros({1}).set_requires_grad();
  CHECK_THROWS_WITH(copy_values(full({1}, 2), leaf), Catch::Contains("use NoGrad"));
  const NoGrad no_grad;
  copy_values(full({1}, 2), leaf);
  CHECK(leaf.item() == 2);
}

TEST_CASE("tensor: makers, views and copies on every device") {
  const Device device = GENERATE(from_range(test_devices()));
  CAPTURE(device);
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32,
                            DType::u8, DType::boolean}) {
    CAPTURE(dtype);
    CHECK(values(full({3, 1, 5}, 1, {dtype, device})) == Values(15, 1));
    CHECK(full({}, 1, {dtype, device}).item() == 1);
    const Tensor x = from_values({2, 3, 2}, {1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0}, {dtype, device});
    CHECK(x.device() == device);
    CHECK(values(x.transpose(0, 2)) == Values{1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0});
    CHECK(values(x.narrow(1, 1, 2).view({8})) == Values{1, 1, 0, 0, 0, 0, 1, 0});
    CHECK(values(concat(std::vector{x, x}, 1).narrow(1, 2, 2)) == Values{0, 0, 1, 0, 1, 0, 1, 0});
    CHECK(same_bits(x.clone().to(kCpu), x.to(kCpu)));
  }
  CHECK(values(from_values({2}, {-7, 70000}, {DType::i32, device})) == Values{-7, 70000});
}

TEST_CASE("tensor: conversions give the same bits on every device") {
  const Device device = GENERATE(from_range(test_devices()));
  const DType from = GENERATE(DType::f32, DType::f16, DType::bf16, DType::i32, DType::u8);
  CAPTURE(device, from);
  // Ties of both half types, an overflow of f16, and one more element than 4 blocks of 256.
  Values v{0, 1, 3, 1.0009765625, 2049, 257, 65519, 65520, 70000, 16777217, 0.1, 254.5};
  for (int i = 0; v.size() < 1025; ++i) v.push_back(std::sqrt(double(i)));
  if (from == DType::u8)
    for (double& x : v) x = std::min(x, 255.0);
  const Tensor x = from_values({5, 205}, v, {from});
  for (const DType to : {DType::f32, DType::f16, DType::bf16, DType::f64}) {
    CAPTURE(to);
    CHECK(same_bits(x.to(device).to(to), x.to(to)));
    CHECK(same_bits(x.to(device).transpose(0, 1).to(to), x.transpose(0, 1).to(to)));
  }
  Values small = values(x);
  for (double& value : small) value = std::min(value, 127.0);
  const Tensor y = from_values({1025}, small, {from});
  for (const DType to : {DType::i64, DType::i32, DType::u8, DType::boolean}) {
    CAPTURE(to);
    CHECK(same_bits(y.to(device).to(to), y.to(to)));
  }
}

TEST_CASE("tensor: to(device) has a gradient, and copy_values crosses devices") {
  const Device device = GENERATE(from_range(test_devices()));
  Tensor x = count_up({3, 2}).set_requires_grad();
  const Tensor y = x.to(device).to(DType::bf16).narrow(0, 1, 2);
  backward(y, full(y.shape(), 2, y.options()));
  CHECK(x.grad().device() == kCpu);
  CHECK(values(x.grad()) == Values{0, 0, 2, 2, 2, 2});

  Tensor there = zeros({2, 3}, {DType::bf16, device});
  const NoGrad no_grad;
  copy_values(x.view({2, 3}), there);
  CHECK(values(there) == Values{0, 1, 2, 3, 4, 5});
}

TEST_CASE("tensor: gradients of a tensor used twice are added on its device") {
  const TensorOptions options =
      GENERATE(from_range(test_options({DType::f64, DType::f32, DType::f16, DType::bf16})));
  CAPTURE(options);
  Tensor x = from_values({4}, {1, 2, 3, 4}, options).set_requires_grad();
  backward(concat(std::vector{x.narrow(0, 0, 3), x.narrow(0, 1, 3)}, 0),
           from_values({6}, {1, 2, 3, 0.5, 1.5, 2.5}, options));
  CHECK(values(x.grad()) == Values{1, 2.5, 4.5, 2.5});
}

TEST_CASE("tensor: the CPU never follows an address of a device") {
  for (const Device device : test_devices()) {
    if (device == kCpu) {
      CHECK_THROWS_WITH(zeros({2}).device_data<float>(), Catch::Contains("lives on cpu"));
      continue;
    }
    const Tensor x = zeros({2}, {DType::f32, device});
    CHECK(x.device_data<float>() != nullptr);
    CHECK_THROWS_WITH(x.data<float>(),
                      Catch::Contains("lives on cuda:0") && Catch::Contains("to(kCpu)"));
    CHECK_THROWS_WITH(x.device_data<double>(), Catch::Contains("holds f32"));
  }
}

}  // namespace fathom
