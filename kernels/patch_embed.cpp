#include "kernels/patch_embed.h"

#include <type_traits>

#include "core/autograd.h"
#include "kernels/conv2d.h"
#include "kernels/linear.h"

namespace fathom {
namespace {

// A product of patches, on a CUDA device: 3 channels fill no vector of a convolution, and 588
// values of a patch of 14 pixels no vectors of a product.
Tensor patchify(const Tensor& x, int64_t p) {
  Tensor rows;
  visit_stream(x.device(), [&]<class Stream>([[maybe_unused]] Stream stream) {
    if constexpr (std::is_same_v<Stream, CudaStream>) rows = kernels::patchify(stream, x, p);
  });
  return rows;
}

// [D, p, p, C] -> [D, columns of a patch], zeros behind its values.
Tensor padded(const Tensor& weight) {
  const int64_t D = weight.dim(0), p = weight.dim(1), K = weight.numel() / D;
  const Tensor rows = patchify(weight.contiguous(), p);  // each filter is a map of one patch
  return record(rows.view({D, rows.dim(2)}), {weight},
                [shape = weight.shape(), K](const Tensor& dy) -> Grads {
                  return {dy.narrow(1, 0, K).contiguous().view(shape)};
                });
}

}  // namespace

Tensor patch_embed(const Tensor& image, const Tensor& weight, const Tensor& bias) {
  check(weight.rank() == 4 && weight.dim(1) == weight.dim(2),
        "patch_embed: weight must be [D, p, p, 3], got ", weight.shape());
  const int64_t p = weight.dim(1);
  check(image.rank() == 4 && image.dim(1) % p == 0 && image.dim(2) % p == 0, "patch_embed: image ",
        image.shape(), " must be [B, H, W, 3] with H and W multiples of ", p);
  check(image.dim(3) == weight.dim(3), "patch_embed: weight ", weight.shape(),
        " does not fit image ", image.shape(),
        ": the last axes must agree; do weights and config describe the same model?");
  check_same_type("patch_embed", image, weight, bias);
  if (image.device() != kCpu && !needs_grad(image))
    return linear(patchify(image.contiguous(), p), padded(weight), bias);
  const Tensor map = conv2d(image, weight, bias, {.stride = p});
  return map.view({map.dim(0), map.dim(1) * map.dim(2), map.dim(3)});
}

}  // namespace fathom
