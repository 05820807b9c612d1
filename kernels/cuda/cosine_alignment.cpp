#include "kernels/cuda/cosine_alignment.h"

#include "kernels/cosine_alignment.h"
#include "kernels/cuda/launch.h"

namespace fathom {

void kernels::cosine_alignment_forward(CudaStream stream, const Tensor& student,
                                       const Tensor& teacher, const CosineAlignmentOptions& options,
                                       Tensor& loss, Tensor& kept) {
  const int64_t B = student.dim(0), C = student.dim(-1), tokens = student.numel() / (B * C);
  cuda::launch_float("cosine_alignment", stream, {student, teacher}, [&]<class T>(Tag<T>) {
    Tensor cosines = empty({B, tokens}, {DType::f32, student.device()});
    cuda::cosine_alignment_forward(
        stream.handle, student.device_data<T>(), teacher.device_data<T>(),
        {options.margin, options.divide_by_kept}, loss.device_data<float>(),
        kept.device_data<int32_t>(), cosines.device_data<float>(), B, tokens, C);
  });
}

void kernels::cosine_alignment_backward(CudaStream stream, const Tensor& student,
                                        const Tensor& teacher,
                                        const CosineAlignmentOptions& options, const Tensor& kept,
                                        const Tensor& dloss, Tensor& dstudent) {
  const int64_t B = student.dim(0), C = student.dim(-1), tokens = student.numel() / (B * C);
  cuda::launch_float("gradient of cosine_alignment", stream, {student, teacher},
                     [&]<class T>(Tag<T>) {
                       cuda::cosine_alignment_backward(
                           stream.handle, student.device_data<T>(), teacher.device_data<T>(),
                           {options.margin, options.divide_by_kept}, kept.device_data<int32_t>(),
                           dloss.device_data<float>(), dstudent.device_data<T>(), B, tokens, C);
                     });
}

}  // namespace fathom
