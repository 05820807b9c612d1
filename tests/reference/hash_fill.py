"""The hash fill: reproducible noise for weights and inputs, the same in every language and machine.

Word j of the tensor named s is a mixed FNV-1a-32(s) xor (j * 0x9E3779B1 mod 2^32), scaled to [-1, 1).
"""

import math
import re

import numpy as np


def fnv1a(name):
    h = 0x811C9DC5
    for byte in name.encode():
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h


def values(name, count):
    """v(name, j) for j < count: reproducible noise in [-1, 1), as float64."""
    out = np.empty(count)
    seed = np.uint32(fnv1a(name))
    for start in range(0, count, 1 << 18):  # in pieces that stay in the cache
        stop = min(start + (1 << 18), count)
        h = np.arange(start, stop, dtype=np.uint32) * np.uint32(0x9E3779B1) ^ seed
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x7FEB352D)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x846CA68B)
        h ^= h >> np.uint32(16)
        out[start:stop] = h * (2.0 / 2**32) - 1.0
    return out


def weight(name, shape, relative=True):
    """The f32 fill of one weight: scales keep activations near one through the whole network."""
    v = values(name, math.prod(shape))
    if re.search(r"norm[12]?\.weight$", name):
        v = 1 + 0.1 * v
    elif name.endswith(".gamma"):
        v = 0.5 + 0.1 * v
    elif name.endswith(("pos_embed", "cls_token", "mask_token")):
        v *= 0.5
    elif name.endswith(".bias"):
        # A relative model is lifted by 4: otherwise its last ReLU would hide half of the output.
        v = 0.1 * v + (4.0 if relative and name.endswith("output_conv2.2.bias") else 0.0)
    else:
        transposed = name.endswith(("resize_layers.0.weight", "resize_layers.1.weight"))
        v *= math.sqrt(3 / (shape[0] if transposed else math.prod(shape[1:])))
    return v.reshape(shape).astype(np.float32)


def image(height, width):
    """The network input of the golden tests, [1,3,H,W], fed as if already normalised."""
    return (2 * values("input", 3 * height * width)).reshape(1, 3, height, width).astype(np.float32)


def loss_weights(height, width):
    """r of the scalar loss sum(output * r), [1,H,W], by which gradients are compared."""
    return values("loss", height * width).reshape(1, height, width).astype(np.float32)
