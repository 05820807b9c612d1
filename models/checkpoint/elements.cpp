#include "models/checkpoint/elements.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace fathom {

static constexpr ElementType kSafetensorsTypes[] = {
    {"F64", 8, DType::f64},   {"F32", 4, DType::f32},       {"F16", 2, DType::f16},
    {"BF16", 2, DType::bf16}, {"I64", 8, DType::i64},       {"I32", 4, DType::i32},
    {"U8", 1, DType::u8},     {"BOOL", 1, DType::boolean},  {"I16", 2, std::nullopt},
    {"I8", 1, std::nullopt},  {"U16", 2, std::nullopt},     {"U32", 4, std::nullopt},
    {"U64", 8, std::nullopt}, {"F8_E4M3", 1, std::nullopt}, {"F8_E5M2", 1, std::nullopt},
    {"C64", 8, std::nullopt},
};

static constexpr ElementType kTorchTypes[] = {
    {"DoubleStorage", 8, DType::f64},
    {"FloatStorage", 4, DType::f32},
    {"HalfStorage", 2, DType::f16},
    {"BFloat16Storage", 2, DType::bf16},
    {"LongStorage", 8, DType::i64},
    {"IntStorage", 4, DType::i32},
    {"ByteStorage", 1, DType::u8},
    {"BoolStorage", 1, DType::boolean},
    {"ShortStorage", 2, std::nullopt},
    {"CharStorage", 1, std::nullopt},
    {"ComplexFloatStorage", 8, std::nullopt},
    {"ComplexDoubleStorage", 16, std::nullopt},
};

static const ElementType* find_type(std::span<const ElementType> types, std::string_view name) {
  for (const ElementType& type : types)
    if (type.name == name) return &type;
  return nullptr;
}

const ElementType* safetensors_type(std::string_view name) {
  return find_type(kSafetensorsTypes, name);
}

const ElementType* torch_storage_type(std::string_view name) {
  return find_type(kTorchTypes, name);
}

std::string_view safetensors_name(DType dtype) {
  for (const ElementType& type : kSafetensorsTypes)
    if (type.dtype == dtype) return type.name;
  fail("safetensors has no name for dtype ", dtype);
}

const char* shape_problem(std::span<const int64_t> extents) {
  if (std::ranges::count(extents, 0) > 0) return "has no elements";
  if (extents.size() > size_t(kMaxRank)) return "has more than 6 axes";
  int64_t numel = 1;
  for (const int64_t extent : extents)
    if (__builtin_mul_overflow(numel, extent, &numel) || numel > (int64_t(1) << 60))
      return "has more than 2^60 elements";
  return nullptr;
}

// The file's elements have no alignment: legacy storages start anywhere.
template <class T>
static T load(const std::byte* at) {
  if constexpr (std::same_as<T, bool>) {
    return *at != std::byte{0};  // a byte other than 0 and 1 must not become a bool
  } else {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
}

// `count` elements, `stride` apart, from `in` to `out`.
template <class From, class To>
static void copy_run(const std::byte* in, int64_t count, int64_t stride, std::byte* out) {
  if constexpr (std::same_as<From, To> && !std::same_as<From, bool>) {
    if (stride == 1) {
      std::memcpy(out, in, size_t(count) * sizeof(To));
      return;
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const To value = cast<To>(load<From>(in + i * stride * int64_t(sizeof(From))));
    std::memcpy(out + i * int64_t(sizeof(To)), &value, sizeof value);
  }
}

template <class From, class To>
static void copy_view(const std::byte* in, const Shape& shape, const Strides& strides,
                      std::byte* out) {
  // Trailing axes that lie in memory as they should form one run.
  int outer = shape.rank();
  int64_t run = 1, stride = 1;
  while (outer > 0 && (shape[outer - 1] == 1 || strides[outer - 1] == run)) run *= shape[--outer];
  if (run == 1 && outer > 0) {
    --outer;
    run = shape[outer];
    stride = strides[outer];
  }
  const int64_t runs = shape.numel() / run;
  int64_t index[kMaxRank] = {}, offset = 0;
  for (int64_t r = 0; r < runs; ++r) {
    copy_run<From, To>(in + offset * int64_t(sizeof(From)), run, stride, out);
    out += run * int64_t(sizeof(To));
    for (int axis = outer - 1; axis >= 0; --axis) {  // the next index, as an odometer
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= index[axis] * strides[axis];
      index[axis] = 0;
    }
  }
}

void copy_strided(std::span<const std::byte> bytes, DType from, const Shape& shape,
                  const Strides& strides, DType to, std::span<std::byte> out) {
  check(to == from || is_float(to), "copy_elements: ", from, " does not convert to ", to,
        "; read it as ", from, " or as a floating dtype");
  check(strides.rank() == shape.rank(), "copy_elements: ", strides.rank(), " strides for shape ",
        shape);
  int64_t last = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    int64_t reach = 0;
    check(strides[axis] >= 0 && !__builtin_mul_overflow(shape[axis] - 1, strides[axis], &reach) &&
              !__builtin_add_overflow(last, reach, &last),
          "copy_elements: stride ", strides[axis], " of axis ", axis, " does not fit shape ",
          shape);
  }
  check(last < int64_t(bytes.size()) / size_of(from), "copy_elements: a view ", shape,
        " whose last element is number ", last, " needs more than the ", bytes.size(),
        " bytes it has");
  check(int64_t(out.size()) == shape.numel() * size_of(to), "copy_elements: ", shape, " as ", to,
        " is ", shape.numel() * size_of(to), " bytes, but out has ", out.size());
  visit_any(from, [&]<class From>(Tag<From>) {
    visit_any(to, [&]<class To>(Tag<To>) {
      if constexpr (std::same_as<From, To> || std::floating_point<To> ||
                    std::same_as<To, float16> || std::same_as<To, bfloat16>)
        copy_view<From, To>(bytes.data(), shape, strides, out.data());
    });
  });
}

}  // namespace fathom
