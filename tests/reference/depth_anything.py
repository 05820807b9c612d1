"""Depth Anything V1, V2 and V2 metric (S, B, L, g) in plain PyTorch: the reference of the parity tests.

Written from the published description with the official parameter names, so that an official
checkpoint loads with `load_state_dict(strict=True)`. Maps are NCHW here, as in PyTorch; the engine is
NHWC. Weights come from the hash fill: reproducible, and no download.
"""

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F

import hash_fill

PATCH = 14
GRID = 37  # the position table is 37 x 37: a 518 x 518 image


@dataclasses.dataclass(frozen=True)
class Config:
    size: str
    channels: int
    layers: int
    heads: int
    features: int
    out_channels: tuple
    taps: tuple
    swiglu: bool = False
    max_depth: float = 0.0  # metres; 0 means a relative model

    @property
    def metric(self):
        return self.max_depth > 0


# channels, layers, heads, features, out_channels, V2 taps
_SIZES = {
    "s": (384, 12, 6, 64, (48, 96, 192, 384), (2, 5, 8, 11)),
    "b": (768, 12, 12, 128, (96, 192, 384, 768), (2, 5, 8, 11)),
    "l": (1024, 24, 16, 256, (256, 512, 1024, 1024), (4, 11, 17, 23)),
    "g": (1536, 40, 24, 384, (1536,) * 4, (9, 19, 29, 39)),
}


def config(size, version=2, max_depth=0.0, layers=None, taps=None):
    """The published configuration; `layers` and `taps` shorten the encoder for cheap tests."""
    channels, full_layers, heads, features, out_channels, v2_taps = _SIZES[size]
    layers = layers or full_layers
    if taps is None:
        # V1 taps the last four blocks.
        taps = v2_taps if version == 2 and layers == full_layers else tuple(range(layers - 4, layers))
    return Config(size, channels, layers, heads, features, out_channels, tuple(taps),
                  swiglu=size == "g", max_depth=float(max_depth))


class PatchEmbed(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)

    def forward(self, image):  # [B,3,H,W] -> [B,P,C]
        assert image.shape[2] % PATCH == 0 and image.shape[3] % PATCH == 0
        return self.proj(image).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    # The class attribute is switched by benchmarks: fused kernel, or products written out.
    fused = True

    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x):
        B, T, C = x.shape
        qkv = self.qkv(x).reshape(B, T, 3, self.heads, C // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B,heads,T,64]
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            scale = (C // self.heads) ** -0.5
            y = ((q * scale) @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


class Mlp(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))  # the erf form


class SwiGlu(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = (int(4 * channels * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(channels, 2 * hidden)
        self.w3 = nn.Linear(hidden, channels)

    def forward(self, x):
        gate, value = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(gate) * value)


class LayerScale(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1 = nn.LayerNorm(c.channels, eps=1e-6)
        self.attn = Attention(c.channels, c.heads)
        self.ls1 = LayerScale(c.channels)
        self.norm2 = nn.LayerNorm(c.channels, eps=1e-6)
        self.mlp = SwiGlu(c.channels) if c.swiglu else Mlp(c.channels)
        self.ls2 = LayerScale(c.channels)

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.taps = c.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, GRID * GRID + 1, c.channels))
        self.mask_token = nn.Parameter(torch.zeros(1, c.channels))  # in every file, never used here
        self.patch_embed = PatchEmbed(c.channels)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.channels, eps=1e-6)

    def position_table(self, rows, columns, dtype):
        """The stored table, or its bicubic resize by the scale (n + 0.1) / 37 on each axis."""
        if rows == GRID and columns == GRID:
            return self.pos_embed
        table = self.pos_embed if self.pos_embed.dtype == torch.float64 else self.pos_embed.float()
        grid = table[:, 1:].reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
        scale = ((rows + 0.1) / GRID, (columns + 0.1) / GRID)
        grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
        assert grid.shape[2:] == (rows, columns)
        return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], 1).to(dtype)

    def embed(self, image):
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        return x + self.position_table(image.shape[2] // PATCH, image.shape[3] // PATCH, x.dtype)

    def forward(self, image):
        x = self.embed(image)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                features.append(self.norm(x)[:, 1:])  # the class token is not used
        return features


class ResidualConvUnit(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def resize(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


class FusionBlock(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        self.resConfUnit1 = ResidualConvUnit(features)  # of refinenet4: in every file, never used
        self.resConfUnit2 = ResidualConvUnit(features)

    def forward(self, x, skip, size):
        if skip is not None:
            x = x + self.resConfUnit1(skip)
        return self.out_conv(resize(self.resConfUnit2(x), size))


class Scratch(nn.Module):
    def __init__(self, c):
        super().__init__()
        f = c.features
        for n, channels in enumerate(c.out_channels, 1):
            self.add_module(f"layer{n}_rn", nn.Conv2d(channels, f, 3, padding=1, bias=False))
        for n in range(1, 5):
            self.add_module(f"refinenet{n}", FusionBlock(f))
        self.output_conv1 = nn.Conv2d(f, f // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(f // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1),
            nn.Sigmoid() if c.metric else nn.ReLU())


class Head(nn.Module):
    def __init__(self, c):
        super().__init__()
        c0, c1, _, c3 = c.out_channels
        self.projects = nn.ModuleList(nn.Conv2d(c.channels, n, 1) for n in c.out_channels)
        self.resize_layers = nn.ModuleList([
            nn.ConvTranspose2d(c0, c0, 4, 4), nn.ConvTranspose2d(c1, c1, 2, 2), nn.Identity(),
            nn.Conv2d(c3, c3, 3, 2, padding=1)])
        self.scratch = Scratch(c)

    def forward(self, features, rows, columns):
        maps = []
        for i, x in enumerate(features):
            x = x.transpose(1, 2).unflatten(2, (rows, columns))
            x = self.resize_layers[i](self.projects[i](x))
            maps.append(self.scratch.get_submodule(f"layer{i + 1}_rn")(x))
        x = None
        for n in (4, 3, 2, 1):
            skip = maps[n - 1]
            size = maps[n - 2].shape[2:] if n > 1 else [2 * d for d in skip.shape[2:]]
            fuse = self.scratch.get_submodule(f"refinenet{n}")
            x = fuse(skip, None, size) if x is None else fuse(x, skip, size)
        x = self.scratch.output_conv1(x)
        return self.scratch.output_conv2(resize(x, (rows * PATCH, columns * PATCH)))


class DepthAnything(nn.Module):
    """[B,3,H,W] normalised RGB -> [B,H,W]: disparity, or metres when `config.metric`."""

    def __init__(self, c):
        super().__init__()
        self.config = c
        self.pretrained = Encoder(c)
        self.depth_head = Head(c)

    def forward(self, image):
        rows, columns = image.shape[2] // PATCH, image.shape[3] // PATCH
        y = self.depth_head(self.pretrained(image), rows, columns)[:, 0]
        return y * self.config.max_depth if self.config.metric else y


def hash_input(height, width):
    return torch.from_numpy(hash_fill.image(height, width))


def hash_model(c):
    """A model in evaluation mode, filled tensor by tensor."""
    with torch.device("meta"):
        model = DepthAnything(c)
    weights = {name: torch.from_numpy(hash_fill.weight(name, w.shape, not c.metric))
               for name, w in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    return model.eval()
