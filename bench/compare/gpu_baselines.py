#!/usr/bin/env python3
"""Fathom against this machine's PyTorch on one GPU, side by side, in the same run.

    python3 bench/compare/gpu_baselines.py --engine build/fathom_bench_device --time-budget 200
    python3 bench/compare/gpu_baselines.py --engine ... --device cpu --tiny     the same paths, small

The engine and PyTorch are two long-lived processes on the same device. Of every case each contender is
made ready, its first result is compared with the engine's, and those that agree are sampled in turn,
A/B/A/B. A ratio is the median over rounds of their time by ours: above 1 the engine is faster. The floor
is the time that operations and bytes need at the ceilings that this run measures (a copy on the device,
a bf16 product); of a model it is the sum over its ops, from the engine's list of them.

Protocol of a worker: one JSON object a line on stdin, one answer each, {"error": why} if it failed.
    (start)                                   {"ready": version}
    {"do": "open", "op", "pass", "dtype", "variant", "inputs": [{"path", "shape", "gradient"}],
     "dy", "weights", "model", "heads", "size", "sample_s"}   {"graph": a captured graph is replayed}
    {"do": "sample"}                          {"seconds": of one call}
    {"do": "result", "path"}                  {"count"}; raw little-endian f32 of the first call
    {"do": "memory"}                          {"peak_bytes": of the device's tensors, while opened}
    {"do": "close"}
    PyTorch alone: {"do": "versions"}, {"do": "ceilings", "side", "copied"}
    the engine alone: {"do": "weights", "model", "path"}, {"do": "floor", ...}
Maps are [B,H,W,C] and weights of convolutions [O,3,3,I]. Cases run in order of what a reader wants to
know first; what the time budget leaves out is named in the result.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# channels, heads, features of the decoder
MODELS = {"S": (384, 6, 64), "B": (768, 12, 128), "L": (1024, 16, 256)}


class Worker:
    def __init__(self, name, command):
        self.name, self.command = name, command
        self.process = None

    def ask(self, request, limit_s):
        """The answer, or RuntimeError: an error, or none within the limit (the process is ended)."""
        deadline = time.monotonic() + limit_s
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE)
            self.rest = b""
            self.read(deadline)  # ready
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.read(deadline)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def read(self, deadline):
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            piece = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not piece:
                self.end()
                raise RuntimeError("no answer in time" if not ready else "the process ended")
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


# --- Cases ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class Case:
    group: str  # what is compared with one another
    request: dict
    inputs: list  # shapes, with whether each is a leaf and how it is drawn
    variants: list
    agreement: float  # largest relative difference, root mean square, that counts as equal
    flops: float = 0
    values: float = 0  # elements moved
    dy: tuple = None
    floor: str = None  # the part of a model whose floor is asked for
    images: int = 0


# Two results of the same sums in bf16, each with its own roundings of 2^-9 on the way: an op has a
# few, a model of 12 blocks was 4e-3 from f32 on the CPU for every library.
OP, MODEL = 1e-2, 2e-2


def cases(size, batch, dtype, letters):
    """Ops first, which are quick, then models, whose compilation takes a minute each; S before B, L."""
    height, width = size
    h, w = height // 14, width // 14
    tokens = 1 + h * w
    out = []

    def add(priority, *args, **options):
        out.append((priority, Case(*args, **options)))

    for i, letter in enumerate(letters):
        channels, heads, features = MODELS[letter]
        where = f"{letter}/{height}x{width}"
        model = {"model": letter, "dtype": dtype, "size": [height, width]}
        deep = MODEL * (2 if letter == "L" else 1) ** 0.5

        def named(op, b, what=""):
            return f"{op}/{what}{where}/b{b}/{dtype}"

        for b in dict.fromkeys((batch, 1)):
            variants = ["eager", "eager_to", "compile_to"]
            add(3 * i + 1, named("model/inference", b), model | {"op": "model", "pass": "forward"},
                [((b, height, width, 3), False, "normal")], variants, deep, floor="inference",
                images=b)
        add(3 * i + 2, named("model/train", batch), model | {"op": "train", "pass": "both"},
            [((batch, height, width, 3), False, "normal"), ((batch, height, width), False, "map")],
            ["eager", "compile"], deep, floor="train", images=batch)
        maps = [((batch, h, w, channels), True, "normal")] * 4
        add(3 * i + 3, named("decoder/both", batch), model | {"op": "decoder", "pass": "both"}, maps,
            ["eager", "eager_to", "compile_to"], 2 * deep, dy=(batch, height, width),
            floor="decoder", images=batch)
        for b in dict.fromkeys((batch, 1)):
            product = 2.0 * b * tokens * tokens * channels
            values = b * tokens * channels
            qkv = [((b, tokens, 3 * channels), True, "normal")]
            request = model | {"op": "attention", "heads": heads}
            add(0, named("attention/forward", b), request | {"pass": "forward"}, qkv,
                ["flash", "cudnn"], OP, flops=2 * product, values=4 * values)
            add(0, named("attention/backward", b), request | {"pass": "backward"}, qkv,
                ["flash", "cudnn"], OP, flops=5 * product, values=8 * values,
                dy=(b, tokens, channels))
        token_shape = (batch, tokens, channels)
        elements = batch * tokens * channels
        add(0, named("layer_norm_add/backward", batch),
            model | {"op": "layer_norm_add", "pass": "backward"},
            [(token_shape, True, "normal"), ((channels,), True, "normal"),
             ((channels,), True, "normal")],
            ["eager", "compile"], OP, values=4 * elements, dy=token_shape)
        H, W = 4 * h, 4 * w
        pixels = batch * H * W
        weights = 9 * features * features
        convolution = [((batch, H, W, features), True, "normal"),
                       ((features, 3, 3, features), True, "small"), ((features,), True, "normal")]
        for pass_, times in (("forward", 1), ("backward", 2)):
            add(0, named(f"conv3x3/{pass_}", batch, "level1/"),
                model | {"op": "conv3x3", "pass": pass_}, convolution, ["eager"], OP,
                flops=times * 2.0 * pixels * weights,
                values=times * (2 * pixels * features + weights),
                dy=(batch, H, W, features) if pass_ == "backward" else None)
        add(0, named("bilinear/backward", batch, "level1/"),
            model | {"op": "bilinear", "pass": "backward", "size": [2 * H, 2 * W]},
            [((batch, H, W, features), True, "normal")], ["eager", "compile"], OP,
            values=5 * pixels * features, dy=(batch, 2 * H, 2 * W, features))
        add(0, named("optimizer/step", batch), model | {"op": "optimizer", "pass": "both"}, [],
            ["eager"], 1e-3)
    maps = [((batch, height, width), True, "map"), ((batch, height, width), False, "map")]
    # The signs of residuals next to zero depend on the last bits: of 1e-6 of them at most.
    add(0, f"ssi_loss/both/{height}x{width}/b{batch}/f32",
        {"op": "ssi_loss", "pass": "both", "dtype": "f32", "model": letters[0],
         "size": [height, width]}, maps, ["loop", "eager", "compile"], 2e-3,
        values=4 * batch * height * width, dy=())
    return [case for _, case in sorted(out, key=lambda entry: entry[0])]


def drawn(generator, shape, how):
    """f32 values; but for depth maps, where ties of a median would be many, bf16 holds them exactly."""
    if how == "map":
        return generator.uniform(0.1, 1, shape).astype(np.float32)
    values = generator.standard_normal(shape, dtype=np.float32)
    values *= 0.05 if how == "small" else 1
    bits = np.atleast_1d(values).view(np.uint32)
    return (bits & 0xFFFF0000).view(np.float32).reshape(shape)


def prepare(case, folder, weights):
    generator = np.random.default_rng(7)
    request = dict(case.request)

    def written(name, shape, how):
        path = folder / f"{name}.bin"
        drawn(generator, shape, how).tofile(path)
        return {"path": str(path), "shape": list(shape)}

    request["inputs"] = [written(f"input{i}", shape, how) | {"gradient": leaf}
                         for i, (shape, leaf, how) in enumerate(case.inputs)]
    if case.dy is not None:
        request["dy"] = written("dy", case.dy, "normal" if case.dy else "map")
    if request["op"] in ("model", "decoder", "train", "optimizer"):
        request["weights"] = weights(request["model"])
    return request


# --- Measuring -----------------------------------------------------------------------------------


class Run:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.start = time.monotonic()
        self.engine = Worker("fathom", [args.engine, "--device", args.device])
        self.torch = Worker("torch", [sys.executable, str(HERE / "gpu_torch.py"), args.device])
        self.written = {}

    def left_s(self):
        budget = self.args.time_budget
        return float("inf") if budget == 0 else budget - (time.monotonic() - self.start)

    def ask(self, worker, limit_s=None, **request):
        limit_s = min(limit_s or self.args.case_limit, max(self.left_s(), 1))
        return worker.ask(request, limit_s)

    def weights(self, letter):
        if letter not in self.written:
            path = self.folder / f"{letter}.safetensors"
            self.ask(self.engine, do="weights", model=letter, path=str(path))
            self.written[letter] = str(path)
        return self.written[letter]

    def result(self, worker):
        path = self.folder / "result.bin"
        count = self.ask(worker, do="result", path=str(path))["count"]
        values = np.fromfile(path, "<f4").astype(np.float64)
        if values.size != count:
            raise RuntimeError(f"{values.size} results, {count} were announced")
        return values

    def floor_s(self, case, ceilings):
        request = case.request
        element = 4 if request["dtype"] == "f32" else 2
        if case.floor:
            return self.ask(self.engine, do="floor", model=request["model"], part=case.floor,
                            size=request["size"], batch=case.images, element_bytes=element,
                            flops_per_s=ceilings["bf16_flops_per_s"],
                            bytes_per_s=ceilings["bytes_per_s"])["seconds"]
        return max(case.flops / ceilings["bf16_flops_per_s"],
                   element * case.values / ceilings["bytes_per_s"])

    def row(self, case, name, opened):
        return {"name": name, "group": case.group, "threads": 1, "graph": opened["graph"],
                "images": case.images, "flops": case.flops, "samples_ms": []}

    def measure(self, case, ceilings):
        """Rows of a case: the engine's and one of each variant; those that failed say why."""
        request = prepare(case, self.folder, self.weights)
        request["sample_s"] = self.args.sample_s
        rows, ours = [], None
        try:
            opened = self.ask(self.engine, do="open", variant="engine", **request)
            ours = self.result(self.engine)
            mine = self.row(case, "fathom", opened)
            mine["peak_mib"] = self.ask(self.engine, do="memory")["peak_bytes"] / 2**20
            mine["error"] = 0.0
            rows.append(mine)
        except RuntimeError as problem:
            rows.append({"name": "fathom", "group": case.group, "threads": 1,
                         "failure": str(problem)})
        for variant in case.variants if self.args.device == "cuda" else self.on_cpu(case):
            if self.left_s() <= 0:
                break
            rows.append(self.against(case, request, variant, ours, rows[0]))
        for worker in (self.engine, self.torch):
            try:
                self.ask(worker, do="close")
            except RuntimeError:
                worker.end()
        floor = self.floor_s(case, ceilings)
        for row in rows:
            self.summarise(row, floor)
        return rows

    def on_cpu(self, case):
        """What a CPU has no backend for is the plain op."""
        return list(dict.fromkeys("eager" if v in ("flash", "cudnn") else v for v in case.variants))

    def against(self, case, request, variant, ours, mine):
        """A baseline's row; samples of it and of ours in turn."""
        name = f"torch {variant}"
        row = {"name": name, "group": case.group, "threads": 1}
        graph = variant.startswith("compile") or request["op"] not in ("model", "train", "optimizer")
        try:
            opened = self.ask(self.torch, do="open", variant=variant, graph=graph,
                              compile_mode=self.args.compile_mode, **request)
            row = self.row(case, name, opened)
            row["peak_mib"] = self.ask(self.torch, do="memory")["peak_bytes"] / 2**20
            if ours is not None:
                theirs = self.result(self.torch)
                if theirs.shape != ours.shape:
                    raise RuntimeError(f"{theirs.size} results, ours has {ours.size}")
                row["error"] = float(np.sqrt(np.mean((theirs - ours) ** 2) / np.mean(ours**2)))
                row["agrees"] = bool(row["error"] <= case.agreement)
            ratios = []
            deadline = time.monotonic() + self.args.pair_limit
            for _ in range(self.args.rounds):
                own = None
                if ours is not None:
                    own = self.ask(self.engine, do="sample")["seconds"]
                    mine["samples_ms"].append(own * 1e3)
                seconds = self.ask(self.torch, do="sample")["seconds"]
                row["samples_ms"].append(seconds * 1e3)
                if own and row["agrees"]:
                    ratios.append(seconds / own)
                if time.monotonic() > deadline and len(row["samples_ms"]) >= 5:
                    break
            if ratios:
                row["ratio"], row["ratio_to"] = statistics.median(ratios), "fathom"
        except RuntimeError as problem:
            row["failure"] = str(problem)
        return row

    def summarise(self, row, floor):
        samples = row.get("samples_ms")
        if not samples:
            row.setdefault("failure", "no sample")
            row.pop("samples_ms", None)
        else:
            row["median_ms"], row["best_ms"] = statistics.median(samples), min(samples)
            if len(samples) >= 10:
                row["p10_ms"], *_, row["p90_ms"] = statistics.quantiles(samples, n=10)
            if floor > 0:
                row["floor_ms"], row["floor_share"] = floor * 1e3, floor * 1e3 / row["median_ms"]
            if row["images"]:
                row["images_per_s"] = row["images"] / row["median_ms"] * 1e3
        print(text_of(row), flush=True)

    def end(self):
        for worker in (self.engine, self.torch):
            worker.end()


def text_of(row):
    head = f"  {row['group']:<52} {row['name']:<18}"
    if "median_ms" not in row:
        return f"{head} not measured: {row['failure']}"
    ratio = f"x{row['ratio']:.2f}" if "ratio" in row else ""
    note = "" if row.get("agrees", True) else "  DISAGREES: no ratio"
    note += "" if row["graph"] else "  (calls)"
    note += f"  {row['failure']}" if "failure" in row else ""
    return (f"{head} {row['median_ms']:10.4f} ms {ratio:>7}  floor {row.get('floor_share', 0):.2f}"
            f"  error {row.get('error', 0):.1e}  {row['peak_mib']:8.0f} MiB{note}")


def revision():
    got = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT,
                         capture_output=True, text=True)
    return got.stdout.strip() or "unknown"


def driver():
    try:
        got = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                             capture_output=True, text=True, timeout=20)
        return got.stdout.split("\n")[0].strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", required=True, help="path of fathom_bench_device")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--models", default="S,B,L", help="of S, B and L, separated by commas")
    parser.add_argument("--dtype", default="bf16", choices=["f32", "bf16", "f16"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", default="518x518", help="height x width, multiples of 14")
    parser.add_argument("--tiny", action="store_true",
                        help="S alone, 28x42, batch 2, few samples, nothing compiled: a dry run")
    parser.add_argument("--only", help="only groups that contain this pattern (regex)")
    parser.add_argument("--list", action="store_true", help="print the groups and their variants")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--sample-s", type=float, default=2e-3, help="seconds of a sample at least")
    parser.add_argument("--pair-limit", type=float, default=3, help="seconds of samples of a pair")
    parser.add_argument("--case-limit", type=float, default=100,
                        help="seconds for an answer, such as making a compiled model ready")
    parser.add_argument("--time-budget", type=float, default=0,
                        help="seconds after which no case is begun; 0: no limit")
    parser.add_argument("--compile-mode", default="max-autotune-no-cudagraphs",
                        help="of torch.compile; graphs are captured here")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/compare/gpu.json")
    args = parser.parse_args()
    if args.tiny:
        args.models, args.size, args.batch, args.rounds = "S", "28x42", 2, 3
        args.compile_mode, args.sample_s = "eager", 0
    size = [int(x) for x in args.size.split("x")]
    if len(size) != 2 or min(size) < 14 or any(x % 14 for x in size):
        parser.error(f"--size {args.size}: expected height x width, multiples of 14")
    letters = args.models.split(",")
    if unknown := [x for x in letters if x not in MODELS]:
        parser.error(f"--models {unknown[0]}: expected S, B or L")
    chosen = [c for c in cases(size, args.batch, args.dtype, letters)
              if not args.only or re.search(args.only, c.group)]
    if not chosen:
        parser.error(f"--only {args.only}: no group matches; see --list")
    if args.list:
        for case in chosen:
            print(case.group, ", ".join(case.variants))
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    memory = pathlib.Path("/dev/shm")  # where files of a gigabyte cost nothing
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        return measure_all(args, chosen, pathlib.Path(folder))


def measure_all(args, chosen, folder):
    run, rows, left = Run(args, folder), [], []
    result = {"cpu": platform.processor() or platform.machine(), "platform": platform.platform(),
              "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
              "command": " ".join(sys.argv), "revision": revision(), "driver": driver(),
              "model": f"Depth Anything V2, {args.size}, {args.dtype}"}
    try:
        result["versions"] = run.ask(run.torch, do="versions")
        result["device"] = result["versions"].pop("device", args.device)
        result["cpu"] = result["device"]  # what the drawings call the machine
        small = args.tiny or args.device == "cpu"
        ceilings = run.ask(run.torch, do="ceilings", side=256 if small else 8192,
                           copied=1 << (22 if small else 30))
        result["ceilings"] = ceilings
        print(f"{result['device']}, driver {result['driver']}, {result['versions']}: copy "
              f"{ceilings['bytes_per_s'] / 1e9:.0f} GB/s, bf16 product "
              f"{ceilings['bf16_flops_per_s'] / 1e12:.1f} TFLOP/s", flush=True)
        for case in chosen:
            if run.left_s() <= 0:
                left.append(case.group)
            else:
                rows += run.measure(case, ceilings)
    except RuntimeError as problem:  # what was measured so far still counts
        result["failure"] = str(problem)
        print(f"stopped: {problem}", file=sys.stderr)
    finally:
        run.end()
        result["rows"] = [row for row in rows if "median_ms" in row]
        result["failed"] = [row for row in rows if "median_ms" not in row]
        result["left_out"] = left
        args.out.write_text(json.dumps(result, indent=1))
    print(f"{len(result['rows'])} rows, {len(result['failed'])} failed, {len(left)} groups left out "
          f"by the time budget; written to {args.out}")
    wrong = [row for row in result["rows"] if not row.get("agrees", True)]
    return 1 if result["failed"] or wrong or "failure" in result else 0


if __name__ == "__main__":
    sys.exit(main())
