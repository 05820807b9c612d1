"""Checks the PyTorch reference itself: the golden numbers of the official code, and the HF names.

    python tests/reference/golden.py [--skip-518] [--skip-hf]

Every number is the official model's, with hash-filled weights, in f32 on a CPU. Printed with five or
six decimals, so half a unit of the last place adds to the tolerance of 1e-4.
"""

import argparse
import pathlib
import sys
import tempfile

import torch

import depth_anything as da
import hash_fill
import make_checkpoint
from report import Report

TOLERANCE = 1e-4

# mean, min, max, then the pixels of check_model in its order
OUTPUTS = {
    "V2-S 70x98": [3.667933, 1.702071, 5.784688, 4.48544, 4.00346, 4.30603, 4.44444, 4.81886,
                   3.02458, 4.33378],
    "V1-S 70x98": [3.613149, 1.413233, 5.899844, 4.68024, 3.86323, 4.53479, 4.42132, 4.95018,
                   3.45899, 4.22745],
    "V2-S metric 70x98": [8.478642, 1.825893, 17.125496, 12.38062, 10.01731, 11.51832, 12.18634,
                          13.87990, 5.47603, 11.65357],
    "V2-S 518x518": [3.580555, 0.691416, 7.006067, 4.43481, 4.08135, 3.89269, 3.70554, 3.87322,
                     4.26978, 3.31934],
}

# mean, root mean square, the first four values, the last
V2_70 = {
    "patch_embed": [-0.014677, 1.166879, -0.26528, -2.29292, -1.95928, -0.43776, -1.21099],
    "block 0": [-0.003572, 1.232283, -0.81762, -0.02459, 0.12622, -0.80675, -1.19347],
    "block 11": [-0.035968, 1.767292, -2.99033, -0.99623, -1.31058, 1.92414, -0.91508],
    "projects.0": [-0.029931, 1.012597, -0.76525, 0.94746, -0.84264, 0.50557, -0.27498],
    "resize_layers.0": [-0.003398, 1.014951, 0.12993, 1.05795, 1.26373, -0.33891, 0.20482],
    "resize_layers.3": [0.009316, 0.795944, -0.24561, -0.6074, 0.47835, -1.16847, 0.45675],
    "layer4_rn": [0.036459, 0.693883, -0.36651, 0.18983, 2.32196, 0.52504, -0.75864],
    "refinenet4": [-0.018686, 0.636268, -0.42647, -1.20685, -1.98724, -0.91793, 0.98749],
    "refinenet3": [-0.077761, 1.116265, 2.41711, 2.0597, 1.70228, 1.76441, -1.80000],
    "refinenet2": [0.132930, 1.391874, 2.15452, 1.39274, 0.63097, 0.18107, 1.31618],
    "refinenet1": [0.107978, 1.757037, 0.57384, 1.11083, 1.64781, 1.33304, -0.42584],
    "output_conv1": [0.109583, 1.702102, -0.4538, -0.88053, -0.64912, -0.06987, 0.97072],
}
V2_518 = {
    "patch_embed": [-0.000563, 1.154486, 1.81403, -0.78645, 0.36701, 1.34917, -0.33797],
    "block 0": [0.010547, 1.236278, -0.52964, -0.11847, 0.07352, -0.68933, -0.84511],
    "block 11": [-0.045825, 1.742744, -2.95148, -1.51666, -0.66956, 0.32856, -0.92712],
    "projects.0": [-0.032679, 0.995974, 0.73918, -1.42209, 0.53361, 1.08646, -0.92038],
    "resize_layers.0": [-0.001313, 0.997808, 0.84294, -0.90559, -1.45673, -1.81809, 0.02180],
    "resize_layers.3": [-0.012429, 0.953585, 0.5434, 0.79333, 0.52484, -0.2417, 0.71662],
    "layer4_rn": [0.021758, 0.931587, 0.33383, 2.00541, 0.6305, 1.64164, 0.01377],
    "refinenet4": [-0.052408, 0.839192, 0.79041, -0.01511, -0.82063, -0.88544, 0.47773],
    "refinenet3": [-0.192790, 1.389891, 0.99913, 0.97078, 0.94242, 0.47117, -0.48344],
    "refinenet2": [0.109219, 1.753265, -0.44171, 0.44407, 1.32984, 1.10431, 0.31436],
    "refinenet1": [0.071273, 2.075965, 1.86389, 0.90354, -0.05682, 0.61291, 0.98516],
    "output_conv1": [0.091505, 2.095262, -0.63572, -0.78682, -0.47331, -0.58476, 0.24850],
}
V1_70 = {name: V2_70[name] for name in ("patch_embed", "block 0", "block 11")} | {
    "projects.0": [-0.026489, 1.018118, -0.57076, 1.68226, -0.43281, -0.30414],
    "refinenet1": [0.067780, 1.794748, 0.13855, 1.01504, 1.89152, 0.9816, -0.73459],
}

# the tokens after the table: class token, token 1, last token (four values each), mean, rms
CLS = [-0.32027, 0.45717, 0.10329, -0.28358]
TOKENS = {
    70: CLS + [0.16393, -1.91514, -1.92209, -0.90938, 1.09974, 1.16807, -0.34101, -0.25342,
               -0.012051, 1.181809],
    518: CLS + [2.03237, -0.50983, 0.04522, 1.31306, -0.30403, -2.49925, 1.47212, 0.82751,
                -0.000993, 1.189260],
}

# encoder and total parameters
PARAMETERS = {"s": (22056576, 24785089), "b": (86580480, 97470785), "l": (304368640, 335315649),
              "g": (1136480768, 1258132225)}
TENSORS = {"s": 239, "b": 239, "l": 407, "g": 631}


class Golden(Report):
    """Also remembers the largest deviation."""

    worst = 0.0

    def close(self, name, actual, expected, tolerance=TOLERANCE):
        error = max(abs(a - e) for a, e in zip(actual, expected, strict=True))
        self.worst = max(self.worst, error)
        self.at_most(name, error, tolerance)


def summary(x):
    x = x.double().flatten()
    return [x.mean().item(), x.square().mean().sqrt().item(), *x[:4].tolist(), x[-1].item()]


def watched(model):
    scratch = model.depth_head.scratch
    return {
        "patch_embed": model.pretrained.patch_embed, "block 0": model.pretrained.blocks[0],
        "block 11": model.pretrained.blocks[11], "projects.0": model.depth_head.projects[0],
        "resize_layers.0": model.depth_head.resize_layers[0],
        "resize_layers.3": model.depth_head.resize_layers[3], "layer4_rn": scratch.layer4_rn,
        "refinenet4": scratch.refinenet4, "refinenet3": scratch.refinenet3,
        "refinenet2": scratch.refinenet2, "refinenet1": scratch.refinenet1,
        "output_conv1": scratch.output_conv1,
    }


def check_model(report, name, config, height, width, intermediates):
    model = da.hash_model(config)
    image = da.hash_input(height, width)
    seen = {}
    for key, module in watched(model).items():
        module.register_forward_hook(lambda _m, _i, y, key=key: seen.__setitem__(key, y))
    with torch.inference_mode():
        y = model(image)[0].double()
        tokens = model.pretrained.embed(image)[0].double()
    H, W = height, width
    where = [(0, 0), (0, W - 1), (H - 1, 0), (H - 1, W - 1), (H // 2, W // 2), (13, 14), (1, 2)]
    actual = [y.mean().item(), y.min().item(), y.max().item(), *(y[p].item() for p in where)]
    report.close(f"{name} output", actual, OUTPUTS[name])
    for key, expected in intermediates.items():
        report.close(f"{name} {key}", summary(seen[key])[: len(expected)], expected)
    actual = [*tokens[0, :4].tolist(), *tokens[1, :4].tolist(), *tokens[-1, :4].tolist(),
              tokens.mean().item(), tokens.square().mean().sqrt().item()]
    report.close(f"{name} tokens", actual, TOKENS[height])


def check_counts(report):
    for size, (encoder, total) in PARAMETERS.items():
        with torch.device("meta"):
            model = da.DepthAnything(da.config(size))
        counts = (sum(p.numel() for p in model.pretrained.parameters()),
                  sum(p.numel() for p in model.parameters()), len(model.state_dict()))
        report.check(f"V2-{size} parameters", counts == (encoder, total, TENSORS[size]),
                     f"encoder {counts[0]}, total {counts[1]}, tensors {counts[2]}")


def check_hf(report, name, config, version=2):
    """The HF names load strictly into transformers, which then computes the same at 518 x 518."""
    import transformers

    model = da.hash_model(config)
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint.write(config, version, "hf", pathlib.Path(folder) / "model")
        theirs, info = transformers.DepthAnythingForDepthEstimation.from_pretrained(
            pathlib.Path(folder) / "model", output_loading_info=True)
    strays = [key for keys in ("missing_keys", "unexpected_keys", "mismatched_keys")
              for key in info[keys]]
    report.check(f"{name} HF names", not strays, f"{len(strays)} strays {strays[:3]}")
    image = da.hash_input(518, 518)
    with torch.inference_mode():
        ours, other = model(image), theirs.eval()(image).predicted_depth
    error = (ours - other).abs().max().item()
    report.check(f"{name} in transformers {transformers.__version__}", error <= TOLERANCE,
                 f"max difference {error:.2e} (<= {TOLERANCE:.0e})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--skip-518", action="store_true", help="only the 70 x 98 models")
    parser.add_argument("--skip-hf", action="store_true", help="do not compare with transformers")
    args = parser.parse_args()
    report = Golden()
    report.close("v(\"input\", 0..3)", hash_fill.values("input", 4),
                 [0.286047245, -0.035498675, 0.581975051, 0.723674201], 1e-9)
    check_counts(report)
    v2, v1, metric = da.config("s"), da.config("s", version=1), da.config("s", max_depth=20)
    check_model(report, "V2-S 70x98", v2, 70, 98, V2_70)
    check_model(report, "V1-S 70x98", v1, 70, 98, V1_70)
    check_model(report, "V2-S metric 70x98", metric, 70, 98, {})
    if not args.skip_518:
        check_model(report, "V2-S 518x518", v2, 518, 518, V2_518)
    if not args.skip_hf:
        check_hf(report, "V2-S", v2)
        check_hf(report, "V1-S", v1, version=1)
        check_hf(report, "V2-S metric", metric)
        check_hf(report, "V2-g of 4 blocks", da.config("g", layers=4))
    print(f"largest deviation from a golden number: {report.worst:.2e}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
