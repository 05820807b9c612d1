"""Writes tests/train/optimizer_values.h: seven steps of torch.optim.AdamW in double precision.

    python tests/reference/adamw.py > tests/train/optimizer_values.h

Two parameters in two groups, gradients clipped by their common norm, a rate that falls linearly.
"""

import torch

from losses import drawn, emit

STEPS = 7


def main():
    encoder = (drawn(1, 3, 5) - 0.5).requires_grad_()
    decoder = (drawn(2, 7) - 0.5).requires_grad_()
    optimizer = torch.optim.AdamW(
        [{"params": [encoder], "lr": 1e-2}, {"params": [decoder], "lr": 1e-1}],
        betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01,
    )
    base = [group["lr"] for group in optimizer.param_groups]
    norms = []
    for step in range(STEPS):
        encoder.grad = drawn(10 + step, 3, 5) - 0.5
        decoder.grad = drawn(20 + step, 7) * (step + 1) / 4 - 0.5
        norms.append(torch.nn.utils.clip_grad_norm_([encoder, decoder], 1.45))
        for group, lr in zip(optimizer.param_groups, base):
            group["lr"] = lr * (1 - step / STEPS)
        optimizer.step()
    print("#pragma once\n\n#include <vector>\n")
    print("// Written by tests/reference/adamw.py with PyTorch in double precision.")
    print("// clang-format off")
    print("namespace fathom::torch_values {\n")
    emit("kEncoder", encoder.detach())
    emit("kDecoder", decoder.detach())
    emit("kEncoderM", optimizer.state[encoder]["exp_avg"])
    emit("kEncoderV", optimizer.state[encoder]["exp_avg_sq"])
    emit("kNorms", torch.stack(norms))
    print("\n}  // namespace fathom::torch_values")


main()
