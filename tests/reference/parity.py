"""The engine against PyTorch: infer, convert, info, bf16 and the gradient of every parameter.

    python tests/reference/parity.py [--fathom build/fathom] [--tools build/fathom_tools] [--only TEXT]
                                      [--device cuda]

Weights are hash-filled, so nothing is downloaded. Each line is one check; the last line counts them.
What the engine must offer:
    fathom infer --weights FILE --device cpu|cuda --dtype f32|bf16 --size N --format npy --out DIR IMAGE
        writes DIR/<stem of IMAGE>.npy, f32, at the photo's size
    fathom convert IN OUT [--names hf|official] [--dtype f32|f16|bf16]
    fathom info --json FILE, a JSON object with "parameters" and "tensors", the counts
    fathom_tools gradients --weights F --height H --width W --device D --out G.safetensors
        writes the gradients of sum(output * r) under official names and in official layout;
        input and r are hash_fill.image and hash_fill.loss_weights
"""

import argparse
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import traceback

import cv2
import numpy as np
import safetensors.torch
import torch

import depth_anything as da
import hash_fill
import make_checkpoint
import names
import preprocess
from report import Report

ROOT = pathlib.Path(__file__).resolve().parents[2]

# In units of the output, f32. Photos: decoders and resizes differ too. Noise PNGs decode exactly; there
# the bound is that of the golden numbers, tight enough to see a tanh GELU (4e-4). A metric output is
# max_depth times a sigmoid, so beyond the 20 m of the golden model rounding grows with max_depth.
PHOTO_TOLERANCE = 1e-3
NOISE_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-4  # ||g - reference|| / ||reference|| of each tensor
BF16_FACTOR = 2.0  # times the error of PyTorch in bf16 against f32
NO_GRADIENT = ("mask_token", "refinenet4.resConfUnit1.")


class Engine:
    def __init__(self, fathom, tools, work, device):
        self.fathom, self.tools, self.work, self.device = fathom, tools, work, device

    def run(self, program, *arguments):
        command = [str(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
        if done.returncode != 0:
            tail = (done.stderr or done.stdout).strip()[-400:]
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {tail}")
        return done.stdout

    def infer(self, weights, image, size, dtype="f32"):
        out = self.work / "infer"
        shutil.rmtree(out, ignore_errors=True)
        self.run(self.fathom, "infer", "--weights", weights, "--device", self.device, "--dtype",
                 dtype,
                 "--size", size, "--format", "npy", "--out", out, image)
        files = sorted(out.rglob("*.npy"))
        if [file.stem for file in files] != [image.stem]:
            raise RuntimeError(f"expected {image.stem}.npy in {out}, found {files}")
        y = np.load(files[0])
        if y.dtype != np.float32:
            raise RuntimeError(f"{files[0]} is {y.dtype}, expected float32")
        return y


@functools.lru_cache(maxsize=1)
def model_of(config, dtype="f32"):
    """The reference with its weights rounded to `dtype` and computing in f32."""
    model = da.hash_model(config)
    if dtype != "f32":
        model.load_state_dict({k: v.to(make_checkpoint.DTYPES[dtype]).float()
                               for k, v in model.state_dict().items()})
    return model


def reference(model, image, size, version):
    x, photo_size = preprocess.load(image, size)
    with torch.inference_mode():
        return preprocess.to_photo(model(x), photo_size, version)


# --- Images --------------------------------------------------------------------------------------


def noise_image(folder, height, width):
    """Pixels of full contrast: overshoot of the bicubic filter, no smoothness to hide behind."""
    path = folder / f"noise_{height}x{width}.png"
    v = hash_fill.values(path.stem, height * width * 3).reshape(height, width, 3)
    cv2.imwrite(str(path), np.floor((v + 1) * 128).astype(np.uint8))
    return path


def photos():
    """Real photos: PNG, JPEG, portrait, EXIF orientation. None where the data is absent."""
    shared = pathlib.Path(os.environ.get("FATHOM_SHARED_DATA", ROOT / "../shared/data"))
    wanted = ("chelsea.png", "coffee.png", "street.jpg", "exif_Portrait_5.jpg", "rocket.jpg")
    return [shared / "photos" / name for name in wanted if (shared / "photos" / name).exists()]


# --- Checks --------------------------------------------------------------------------------------


def tolerance(image, max_depth=0.0):
    exact = image.name.startswith("noise_")
    return NOISE_TOLERANCE * max(1, max_depth / 20) if exact else PHOTO_TOLERANCE


def compare(report, name, ours, theirs, bound):
    if ours.shape != theirs.shape:
        report.check(name, False, f"shape {ours.shape}, expected {theirs.shape}")
    else:
        report.at_most(f"{name} {ours.shape[0]}x{ours.shape[1]}",
                       float(np.abs(ours - theirs).max()), bound)


class Checkpoint:
    """A hash-filled checkpoint on disk, in one of the forms of make_checkpoint."""

    def __init__(self, work, config, name, version=2, form="pth", dtype="f32", shards=1):
        self.config, self.version, self.dtype = config, version, dtype
        self.path = make_checkpoint.write(config, version, form, work / name, dtype, shards)

    def model(self):
        return model_of(self.config, self.dtype)


V2 = "depth_anything_v2_vit"


def infer_check(report, engine, checkpoint, images, size, label):
    for image in images:
        ours = engine.infer(checkpoint.path, image, size)
        theirs = reference(checkpoint.model(), image, size, checkpoint.version)
        compare(report, f"infer {label} {image.name}", ours, theirs,
                tolerance(image, checkpoint.config.max_depth))


def check_small_photos(report, engine, work):
    images = [noise_image(work, 74, 77), *photos()]  # 74 x 77 is a tie of the size rule
    if len(images) == 1:
        print("skip  photos: no shared data (set FATHOM_SHARED_DATA)")
    checkpoint = Checkpoint(work, da.config("s"), f"{V2}s.pth")
    infer_check(report, engine, checkpoint, images, 518, "V2-S pth")


def check_versions(report, engine, work):
    images = [noise_image(work, 61, 83), *photos()[2:3]]
    v1 = Checkpoint(work, da.config("s", 1), "depth_anything_vits14.pth", 1, "legacy")
    infer_check(report, engine, v1, images, 140, "V1-S legacy pth")
    for name, max_depth in (("hypersim", 20), ("vkitti", 80)):
        metric = Checkpoint(work, da.config("s", max_depth=max_depth),
                            f"depth_anything_v2_metric_{name}_vits.pth", form="wrapped")
        infer_check(report, engine, metric, images, 140, f"V2-S metric {name} wrapped")
    neutral = Checkpoint(work, da.config("s", max_depth=20), "weights.safetensors",
                         form="safetensors")
    infer_check(report, engine, neutral, images[:1], 140, "V2-S metric from metadata")


def check_grids(report, engine, work):
    """Odd grids, and a grid where one axis is 37 and the table is still resized."""
    checkpoint = Checkpoint(work, da.config("s"), f"{V2}s.pth")
    for height, width, size in ((14, 42, 14), (70, 98, 70), (98, 70, 70), (30, 31, 126),
                                (518, 70, 70), (518, 518, 518)):
        infer_check(report, engine, checkpoint, [noise_image(work, height, width)], size,
                    f"grid --size {size}")


def check_hf_names(report, engine, work):
    images = [noise_image(work, 70, 98)]
    for label, folder, version, config, dtype, shards in (
            ("V2-S f32", "v2", 2, da.config("s"), "f32", 1),
            ("V1-S sharded f32", "v1", 1, da.config("s", 1), "f32", 3),
            ("V2-S metric f16", "metric", 2, da.config("s", max_depth=80), "f16", 1),
            ("V2-S bf16", "bf16", 2, da.config("s"), "bf16", 1)):
        checkpoint = Checkpoint(work, config, f"hf_{folder}", version, "hf", dtype, shards)
        infer_check(report, engine, checkpoint, images, 70, f"HF {label}")


def check_dtypes(report, engine, work):
    images = [noise_image(work, 70, 98)]
    for dtype in ("f16", "bf16"):
        for form, suffix in (("pth", "pth"), ("safetensors", "safetensors")):
            checkpoint = Checkpoint(work, da.config("s"), f"{V2}s.{suffix}", 2, form, dtype)
            infer_check(report, engine, checkpoint, images, 70, f"V2-S {form} stored {dtype}")
    sharded = Checkpoint(work, da.config("s"), "sharded", 2, "safetensors", "f32", 4)
    infer_check(report, engine, sharded, images, 70, "V2-S official sharded")


def check_base(report, engine, work):
    images = [noise_image(work, 70, 98), *photos()[:1]]
    for version, name in ((2, f"{V2}b.pth"), (1, "depth_anything_vitb14.pth")):
        checkpoint = Checkpoint(work, da.config("b", version), name, version)
        infer_check(report, engine, checkpoint, images, 252, f"V{version}-B")


def check_large(report, engine, work):
    images = [noise_image(work, 70, 98), *photos()[:1]]
    checkpoint = Checkpoint(work, da.config("l"), f"{V2}l.safetensors", form="safetensors")
    infer_check(report, engine, checkpoint, images, 252, "V2-L")
    hf = Checkpoint(work, da.config("l", 1), "hf_large", 1, "hf")
    infer_check(report, engine, hf, images[:1], 70, "V1-L HF")


def check_short_giant(report, engine, work):
    """Every layer kind and width of g, with 4 of its 40 blocks: SwiGLU, 24 heads."""
    images = [noise_image(work, 70, 98)]
    config = da.config("g", layers=4)
    official = Checkpoint(work, config, f"{V2}g.safetensors", form="safetensors")
    infer_check(report, engine, official, images, 70, "V2-g of 4 blocks")
    hf = Checkpoint(work, config, "hf_giant", form="hf")
    infer_check(report, engine, hf, images, 70, "V2-g of 4 blocks HF")


def check_giant(report, engine, work):
    checkpoint = Checkpoint(work, da.config("g"), f"{V2}g.pth")
    infer_check(report, engine, checkpoint, [noise_image(work, 70, 98)], 70, "V2-g")


def check_bf16(report, engine, work):
    """bf16 compute: rms and largest error against PyTorch f32, at most twice PyTorch bf16's."""
    for size, side in (("s", 518), ("b", 252)):
        config = da.config(size)
        checkpoint = Checkpoint(work, config, f"{V2}{size}.pth")
        for image in [noise_image(work, 70, 98), *photos()[:2]]:
            exact = reference(model_of(config), image, side, 2)
            x, photo_size = preprocess.load(image, side)
            with torch.inference_mode():
                with torch.autocast("cpu", torch.bfloat16):
                    autocast = preprocess.to_photo(model_of(config)(x), photo_size, 2)
                half = da.hash_model(config).bfloat16()
                cast = preprocess.to_photo(half(x.bfloat16()), photo_size, 2)
            ours = engine.infer(checkpoint.path, image, side, "bf16")
            for kind, norm in (("rms", lambda e: np.sqrt(np.mean(np.square(e, dtype=np.float64)))),
                               ("largest", lambda e: np.abs(e).max())):
                error, a, c = (float(norm(y - exact)) for y in (ours, autocast, cast))
                # PyTorch has two ways to bf16; the more exact one sets the bound.
                report.check(
                    f"bf16 V2-{size.upper()} {image.name} {kind} error",
                    error <= BF16_FACTOR * min(a, c),
                    f"{error:.2e} (<= {BF16_FACTOR:g} x PyTorch: autocast {a:.2e}, all {c:.2e})")


def check_gradients(report, engine, work):
    checkpoint = Checkpoint(work, da.config("s"), f"{V2}s.pth")
    out = work / "gradients.safetensors"
    out.unlink(missing_ok=True)
    engine.run(engine.tools, "gradients", "--weights", checkpoint.path, "--height", 70, "--width",
               98, "--out", out, "--device", engine.device)
    ours = safetensors.torch.load_file(out)
    exact = gradients(da.hash_model(checkpoint.config).double())
    single = gradients(da.hash_model(checkpoint.config))
    strays = sorted(set(ours) - set(exact))
    report.check("gradients: no unknown names", not strays, f"{len(strays)} {strays[:3]}")
    for name, expected in exact.items():
        g = ours.get(name)
        if any(part in name for part in NO_GRADIENT):
            assert expected is None
            report.check(f"gradient {name}", g is None or not g.any(), "none or zero")
        elif g is None or g.shape != expected.shape:
            report.check(f"gradient {name}", False,
                         f"{'missing' if g is None else list(g.shape)}, "
                         f"expected {list(expected.shape)}")
        else:
            error, torch_error = relative(g, expected), relative(single[name], expected)
            report.check(f"gradient {name}", error <= GRADIENT_TOLERANCE,
                         f"{error:.1e} (<= {GRADIENT_TOLERANCE:.0e}; PyTorch f32 {torch_error:.1e})")


def relative(g, expected):
    return ((g.double() - expected).norm() / expected.norm()).item()


def gradients(model):
    """In f64 the reference has no rounding of its own; None where the loss does not depend."""
    dtype = next(model.parameters()).dtype
    y = model(da.hash_input(70, 98).to(dtype))
    (y * torch.from_numpy(hash_fill.loss_weights(70, 98)).to(dtype)).sum().backward()
    return {name: p.grad for name, p in model.named_parameters()}


def check_convert(report, engine, work):
    """Bit-exact through every name scheme and dtype, and self-describing afterwards."""
    config = da.config("s", 1)
    source = Checkpoint(work, config, "depth_anything_vits14.pth", 1)
    official = da.hash_model(config).state_dict()
    hf = names.to_hf(official, config)
    steps = [("official f32", source.path, "neutral.safetensors", (), official, "f32"),
             ("HF f32", source.path, "hf.safetensors", ("--names", "hf"), hf, "f32"),
             ("HF back to official", work / "hf.safetensors", "back.safetensors",
              ("--names", "official"), official, "f32")]
    steps += [(f"{kind} {dtype}", source.path, f"{kind}_{dtype}.safetensors",
               ("--names", kind, "--dtype", dtype), expected, dtype)
              for kind, expected in (("official", official), ("hf", hf))
              for dtype in ("bf16", "f16")]
    for label, before, after, flags, expected, dtype in steps:
        engine.run(engine.fathom, "convert", before, work / after, *flags)
        ours = safetensors.torch.load_file(work / after)
        want = {k: v.to(make_checkpoint.DTYPES[dtype]) for k, v in expected.items()}
        wrong = sorted(set(ours) ^ set(want)) or [
            k for k in want if ours[k].dtype != want[k].dtype or not torch.equal(ours[k], want[k])]
        report.check(f"convert {label}", not wrong, f"{len(wrong)} wrong tensors {wrong[:3]}")
    image = noise_image(work, 61, 83)
    theirs = reference(model_of(config), image, 140, 1)
    for file in ("neutral.safetensors", "back.safetensors"):
        compare(report, f"infer V1-S, version from the metadata of {file}",
                engine.infer(work / file, image, 140), theirs, tolerance(image))


def check_info(report, engine, work):
    for size, parameters, tensors in (("s", 24785089, 239), ("b", 97470785, 239)):
        checkpoint = Checkpoint(work, da.config(size), f"{V2}{size}.pth")
        info = json.loads(engine.run(engine.fathom, "info", "--json", checkpoint.path))
        counts = (info["model"]["parameters"], len(info["tensors"]))
        report.check(f"info V2-{size.upper()}", counts == (parameters, tensors), f"{counts}")


CHECKS = {
    "photos": check_small_photos,
    "versions": check_versions,
    "grids": check_grids,
    "hf": check_hf_names,
    "dtypes": check_dtypes,
    "base": check_base,
    "large": check_large,
    "short-giant": check_short_giant,
    "giant": check_giant,
    "bf16": check_bf16,
    "gradients": check_gradients,
    "convert": check_convert,
    "info": check_info,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fathom", type=pathlib.Path, default=ROOT / "build/fathom")
    parser.add_argument("--tools", type=pathlib.Path, default=ROOT / "build/fathom_tools")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/parity")
    parser.add_argument("--only", nargs="+", choices=CHECKS, help="only these groups of checks")
    parser.add_argument("--device", default="cpu", help="of the engine: cpu or cuda")
    parser.add_argument("--giant", action="store_true", help="also V2-g in full: 5 GB of weights")
    args = parser.parse_args()
    wanted = args.only or [name for name in CHECKS if name != "giant" or args.giant]
    for program in (args.fathom, args.tools):
        if program == args.tools and "gradients" not in wanted:
            continue
        if not program.exists():
            print(f"{program} does not exist: build it, or name it with --fathom / --tools")
            return 2
    report = Report()
    for name in wanted:
        # Each group starts from nothing and leaves nothing: some write gigabytes.
        work = args.work / name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            CHECKS[name](report, Engine(args.fathom, args.tools, work, args.device), work)
        except Exception as problem:  # a check that could not finish has failed; the rest goes on
            traceback.print_exc()
            report.check(name, False, f"{type(problem).__name__}: {problem}")
        shutil.rmtree(work)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
