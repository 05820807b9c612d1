#include "kernels/cosine_alignment.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/autograd.h"
#include "core/parallel.h"

namespace fathom {

CosineAlignment cosine_alignment(const Tensor& student_in, const Tensor& teacher_in,
                                 const CosineAlignmentOptions& options) {
  check(student_in.rank() >= 2 && student_in.shape() == teacher_in.shape(),
        "cosine_alignment: student and teacher must be [B, ..., C] and of one shape, but are ",
        student_in.shape(), " and ", teacher_in.shape(), "; project the student if widths differ");
  check_same_type("cosine_alignment", student_in, teacher_in);
  const Tensor student = student_in.contiguous(), teacher = teacher_in.detach().contiguous();
  const int64_t B = student.dim(0);
  const DType dtype = student.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor loss = empty({B}, {dtype, student.device()}),
         kept = empty({B}, {DType::i32, student.device()});
  visit_stream(student.device(), [&](auto stream) {
    kernels::cosine_alignment_forward(stream, student, teacher, options, loss, kept);
  });
  loss =
      record(loss, {student_in}, [student, teacher, options, kept](const Tensor& dloss) -> Grads {
        Tensor dstudent = empty_like(student);
        visit_stream(student.device(), [&](auto stream) {
          kernels::cosine_alignment_backward(stream, student, teacher, options, kept, dloss,
                                             dstudent);
        });
        return {dstudent};
      });
  return {loss, kept};
}

// ---- CPU

constexpr int64_t kTokens = 16;  // of a chunk
constexpr double kLeastNorm = 1e-8;

namespace {

// One token's cosine and the norms it was made of, in the type to compute in.
template <class Acc>
struct Angle {
  Acc cosine, student_norm, teacher_norm;
  bool clamped;  // the student's norm is the constant
};

template <class T>
Angle<acc_t<T>> angle(const T* f, const T* g, int64_t C) {
  using Acc = acc_t<T>;
  constexpr int64_t kLanes = 16;  // independent sums, so that they become vectors
  Acc ff[kLanes]{}, gg[kLanes]{}, fg[kLanes]{};
  const auto add = [&](int64_t lane, int64_t c) {
    const Acc a(f[c]), b(g[c]);
    ff[lane] += a * a, gg[lane] += b * b, fg[lane] += a * b;
  };
  int64_t c = 0;
  for (; c + kLanes <= C; c += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) add(lane, c + lane);
  for (; c < C; ++c) add(c % kLanes, c);
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t lane = 0; lane < half; ++lane)
      ff[lane] += ff[lane + half], gg[lane] += gg[lane + half], fg[lane] += fg[lane + half];
  const Acc least(kLeastNorm), norm = std::sqrt(ff[0]);
  const Acc student = std::max(norm, least), teacher = std::max(std::sqrt(gg[0]), least);
  return {fg[0] / student / teacher, student, teacher, norm < least};
}

double divisor_of(int32_t kept, int64_t tokens, const CosineAlignmentOptions& options) {
  return options.divide_by_kept ? std::max<double>(kept, 1) : double(tokens);
}

}  // namespace

void kernels::cosine_alignment_forward(CpuStream, const Tensor& student, const Tensor& teacher,
                                       const CosineAlignmentOptions& options, Tensor& loss,
                                       Tensor& kept) {
  const int64_t B = student.dim(0), C = student.dim(-1), T_ = student.numel() / (B * C);
  int32_t* pk = kept.data<int32_t>();
  visit_float(student.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T *ps = student.data<T>(), *pt = teacher.data<T>();
    std::vector<Acc> cosines(size_t(B * T_));
    parallel_for(B * T_, kTokens, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        cosines[size_t(n)] = angle(ps + n * C, pt + n * C, C).cosine;
    });
    Acc* pl = loss.data<Acc>();
    for (int64_t b = 0; b < B; ++b) {
      double sum = 0;
      pk[b] = 0;
      for (int64_t t = 0; t < T_; ++t) {
        const double cosine = double(cosines[size_t(b * T_ + t)]);
        if (cosine > options.margin) continue;
        sum += 1 - cosine;
        ++pk[b];
      }
      pl[b] = Acc(sum / divisor_of(pk[b], T_, options));
    }
  });
}

void kernels::cosine_alignment_backward(CpuStream, const Tensor& student, const Tensor& teacher,
                                        const CosineAlignmentOptions& options, const Tensor& kept,
                                        const Tensor& dloss, Tensor& dstudent) {
  const int64_t B = student.dim(0), C = student.dim(-1), T_ = student.numel() / (B * C);
  const int32_t* pk = kept.data<int32_t>();
  visit_float(student.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T *ps = student.data<T>(), *pt = teacher.data<T>();
    const Acc* pdl = dloss.data<Acc>();
    T* pds = dstudent.data<T>();
    parallel_for(B * T_, kTokens, [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T *f = ps + n * C, *g = pt + n * C;
        T* df = pds + n * C;
        const Angle<Acc> a = angle(f, g, C);
        if (double(a.cosine) > options.margin) {
          std::fill_n(df, C, T(Acc(0)));
          continue;
        }
        const Acc w = pdl[n / T_] / Acc(divisor_of(pk[n / T_], T_, options)) / a.student_norm;
        const Acc along = w / a.teacher_norm,
                  back = a.clamped ? Acc(0) : w * a.cosine / a.student_norm;
        for (int64_t c = 0; c < C; ++c) df[c] = T(back * Acc(f[c]) - along * Acc(g[c]));
      }
    });
  });
}

}  // namespace fathom
