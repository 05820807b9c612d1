"""Fathom against PyTorch, ONNX Runtime and OpenVINO on one CPU, side by side: V2-S, 518 x 518, batch 1.

    python bench/compare/cpu_baselines.py [--threads 2 1] [--rounds 9] [--engine build/fathom_bench_model]

Each configuration is one long-lived process, pinned to as many cores as it has threads. The
processes are poked in turn, never two at once, so that drift of the machine meets all alike, and the
comparison is the median of the ratios within a round. A sample during which other processes used more
than 12 % of a core is marked disturbed; disturbed samples are left out while three quiet ones exist.

The workers, and what they answer, are in cpu_workers.py; the engine answers the same. The input is
2 v("input", j) in NCHW order, see tests/reference/hash_fill.py.
Forward: the output in f32. Training: forward, then the gradient of every parameter for the loss
sum(output * r), r_j = v("loss", j), gradients starting from none. Both start from the input tensor in
f32 NCHW or its NHWC form and include every conversion of activations.
The engine: fathom_bench_model --weights FILE --threads N --dtype f32|bf16 [--train].

PyTorch "tuned" means: OPENBLAS_* unset, memory kept by malloc (no mmap, no trimming: page faults are
most of the time otherwise), huge pages, channels_last, inference_mode. Several variants run and
the best is the baseline. OpenVINO "tuned" has one stream, the hint for latency, as many threads as cores
and the same malloc; where it would compute bf16 in f32 it is not measured. "As installed" is a plain
script, for information only. The peak memory of PyTorch counts its libraries: importing the CUDA-enabled
wheel alone takes 540 MB.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/reference"))

from cpu_workers import SIZE  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")

# --- Preparation ---------------------------------------------------------------------------------


def prepare(cache):
    """Writes weights and the ONNX export once. In a child process: torch stays out of the parent."""
    weights = cache / "depth_anything_v2_vits.safetensors"
    products, fused = cache / "v2_vits_products.onnx", cache / "v2_vits_attention.onnx"
    if not all(path.exists() for path in (weights, products, fused)):
        subprocess.run([sys.executable, __file__, "--export", weights, products, fused], check=True)
    return weights, products, fused


def export(weights, products, fused):
    """Two graphs: attention as products (opset 18) and as the Attention operator (opset 23)."""
    import torch

    import depth_anything as da
    import make_checkpoint

    c = da.config("s")
    make_checkpoint.write(c, 2, "safetensors", weights)
    model = da.hash_model(c).requires_grad_(False)
    for path, da.Attention.fused, opset in ((products, False, 18), (fused, True, 23)):
        torch.onnx.export(model, (da.hash_input(SIZE, SIZE),), f"{path}.part", dynamo=True,
                          input_names=["image"], output_names=["depth"], opset_version=opset,
                          external_data=False, verbose=False)
        os.replace(f"{path}.part", path)


# --- Measuring -----------------------------------------------------------------------------------


def busy_seconds():
    """CPU time used by everything on the machine."""
    user, nice, system, _, _, irq, softirq, *_ = (
        int(x) for x in open("/proc/stat").readline().split()[1:])
    return (user + nice + system + irq + softirq) / TICKS


def process_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


QUIET_ENOUGH = 3


class Worker:
    def __init__(self, name, command, env, threads):
        self.name, self.samples, self.disturbed = name, [], []
        cores = sorted(os.sched_getaffinity(0))[:threads]
        pin = ["taskset", "-c", ",".join(map(str, cores))]
        self.process = subprocess.Popen(pin + command, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().strip()
        if line != "ready":
            raise RuntimeError(f"{name}: expected 'ready', got '{line}'")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"{self.name}: the worker ended")
        return answer

    def sample(self, idle_wait_s):
        wait_until_idle(idle_wait_s)
        start, busy, own = time.monotonic(), busy_seconds(), process_seconds(self.process.pid)
        ms = float(self.ask("run"))
        wall = time.monotonic() - start
        own = process_seconds(self.process.pid) - own
        others = (busy_seconds() - busy - own) / wall
        self.samples.append(ms)
        # Two clock ticks are the resolution of these counters.
        self.disturbed.append(others > max(0.12, 2 / TICKS / wall))

    def quiet(self):
        return self.disturbed.count(False)

    def peak_mib(self):
        return float(self.ask("r"))

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.write("q\n")
                self.process.stdin.close()
                self.process.wait(10)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()


def wait_until_idle(seconds):
    """Waits until the machine was idle for 50 ms, or gives up: the sample may be disturbed."""
    deadline = time.monotonic() + seconds
    while True:
        busy = busy_seconds()
        time.sleep(0.05)
        if busy_seconds() - busy <= 1.5 / TICKS or time.monotonic() > deadline:
            return


def quiet_environment():
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("OPENBLAS_", "OMP_", "MKL_", "KMP_", "GOMP_", "MALLOC_"))}
    env.pop("GLIBC_TUNABLES", None)
    return env


def tuned_environment(threads):
    env = quiet_environment()
    # mmap_max=0 rather than a threshold: glibc ignores thresholds above 32 MiB.
    env["GLIBC_TUNABLES"] = ":".join([
        "glibc.malloc.mmap_max=0", "glibc.malloc.trim_threshold=4294967296",
        "glibc.malloc.top_pad=67108864", "glibc.malloc.hugetlb=1"])
    env |= {"OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "true",
            "TORCHINDUCTOR_CACHE_DIR": str(ROOT / "build/inductor")}
    return env


def configurations(args, threads):
    """name -> (command, environment, group). A group is what is compared with one another."""
    weights, products, fused = prepare(args.cache)
    tuned, plain = tuned_environment(threads), quiet_environment()
    out = {}

    def python(name, group, env, kind, **options):
        options = {"threads": threads, "weights": str(weights)} | options
        command = [sys.executable, str(HERE / "cpu_workers.py"), kind, json.dumps(options)]
        out[name] = (command, env, group)

    def engine(name, group, *flags):
        if args.engine:
            command = [args.engine, "--weights", str(weights), "--threads", str(threads), *flags]
            out[name] = (command, plain | {"FATHOM_THREADS": str(threads)}, group)

    nhwc = {"channels_last": True}
    f32, bf16 = {"dtype": "f32", "train": False}, {"dtype": "bf16", "train": False}
    train = {"dtype": "f32", "train": True}
    manual = {"manual_attention": True}
    engine("fathom f32", "f32", "--dtype", "f32")
    python("torch f32", "f32", tuned, "torch", **f32, **nhwc)
    python("torch f32 manual attention", "f32", tuned, "torch", **f32, **nhwc, **manual)
    python("torch f32 NCHW", "f32", tuned, "torch", **f32)
    for how, graph in (("", products), (" Attention operator", fused)):
        python(f"onnxruntime f32{how}", "f32", plain, "ort", weights=str(graph), spin=True)
        python(f"onnxruntime f32{how} tuned malloc", "f32", tuned, "ort", weights=str(graph),
               spin=True)
    if threads > 1:
        python("onnxruntime f32 no spinning", "f32", plain, "ort", weights=str(products), spin=False)
    for how, graph in (("", products), (" Attention operator", fused)):
        python(f"openvino f32{how}", "f32", tuned, "openvino", weights=str(graph), dtype="f32")
    if args.compile:
        python("torch.compile f32", "f32", tuned, "torch", **f32, **nhwc, compile=True)
    if args.installed:
        python("torch f32 as installed", "f32", dict(os.environ), "torch", **f32, no_grad=True)
        python("openvino f32 as installed", "f32", dict(os.environ), "openvino",
               weights=str(products), dtype="f32", as_installed=True)
    engine("fathom bf16", "bf16", "--dtype", "bf16")
    for how in ("autocast", "to"):
        python(f"torch bf16 {how}", "bf16", tuned, "torch", **bf16, **nhwc, bf16=how)
        python(f"torch bf16 {how} manual attention", "bf16", tuned, "torch", **bf16, **nhwc,
               **manual, bf16=how)
    python("openvino bf16", "bf16", tuned, "openvino", weights=str(products), dtype="bf16")
    if args.compile:
        python("torch.compile bf16 autocast", "bf16", tuned, "torch", **bf16, **nhwc, compile=True,
               bf16="autocast")
        python("torch.compile bf16 to", "bf16", tuned, "torch", **bf16, **nhwc, compile=True,
               bf16="to")
    engine("fathom train", "train", "--dtype", "f32", "--train")
    python("torch train", "train", tuned, "torch", **train, **nhwc)
    python("torch train manual attention", "train", tuned, "torch", **train, **nhwc, **manual)
    python("torch train NCHW", "train", tuned, "torch", **train)
    if args.compile:
        python("torch.compile train", "train", tuned, "torch", **train, **nhwc, compile=True)
    if args.installed:
        python("torch train as installed", "train", dict(os.environ), "torch", **train)
    if args.only:
        out = {k: v for k, v in out.items() if any(o in k for o in args.only)}
    return {k: v for k, v in out.items() if v[2] in args.groups}


# Relative error in the root mean square, against PyTorch f32. Output: PyTorch f32 is 1e-6 from f64.
# Gradient: f32 flips some ReLUs of f64; three PyTorch variants were 0.6e-3 to 1.1e-3 from f64, and two
# results may differ by twice that. bf16 has 8 bits; PyTorch's own error is 4e-3.
AGREEMENT = {"f32": 1e-5, "train": 2.5e-3, "bf16": 1e-2}


def disagreement(worker, cache, reference):
    import numpy as np

    path = cache / "result.bin"
    count = int(worker.ask(f"o {path}"))
    values = np.fromfile(path, "<f4").astype(np.float64)
    assert len(values) == count
    if reference is None:
        return 0.0, values
    if values.shape != reference.shape:
        raise RuntimeError(f"{worker.name}: {values.size} results, expected {reference.size}")
    error = np.sqrt(np.mean((values - reference) ** 2) / np.mean(reference**2))
    return float(error), values


def measure_group(args, group, threads, configs):
    workers, reference = [], None
    if group == "bf16":  # bf16 is compared with f32
        configs = {"torch f32": configurations_all(args, threads)["torch f32"]} | configs
    try:
        print(f"\n{group}, {threads} thread{'s' * (threads > 1)}: agreement", flush=True)
        # The reference is PyTorch in f32; it answers first.
        for name in sorted(configs, key=lambda n: n not in ("torch f32", "torch train")):
            command, env, _ = configs[name]
            try:
                worker = Worker(name, command, env, threads)
                worker.ask("run")
                error, values = disagreement(worker, args.cache, reference)
            except RuntimeError as problem:
                print(f"  {name:<48} not measured: {problem}", flush=True)
                continue
            reference = values if reference is None else reference
            worker.error, worker.agrees = error, error <= AGREEMENT[group]
            print(f"  {name:<48} relative error {error:.1e}"
                  f"{'' if worker.agrees else '  DISAGREES: not compared'}", flush=True)
            if group == "bf16" and name == "torch f32":
                worker.close()
            else:
                workers.append(worker)
        if not workers:
            return []
        for round_ in range(3 * args.rounds):
            # On a busy machine, go on until each has enough quiet samples.
            if round_ >= args.rounds and all(w.quiet() >= QUIET_ENOUGH for w in workers):
                break
            turn = round_ % len(workers)
            for worker in workers[turn:] + workers[:turn]:
                worker.sample(args.idle_wait)
        for worker in workers:
            worker.peak = worker.peak_mib()
    finally:
        for worker in workers:
            worker.close()
    return summarise(group, threads, [w for w in workers if w.agrees])


def configurations_all(args, threads):
    everything = argparse.Namespace(**vars(args))
    everything.only, everything.groups = None, ["f32", "bf16", "train"]
    return configurations(everything, threads)


def clean_rounds(workers):
    """The rounds in which none of these was disturbed; all of them if there are too few."""
    rounds = range(len(workers[0].samples))
    quiet = [i for i in rounds if not any(w.disturbed[i] for w in workers)]
    return quiet if len(quiet) >= QUIET_ENOUGH else list(rounds)


def summarise(group, threads, workers):
    if not workers:
        return []
    ours = [w for w in workers if w.name.startswith("fathom")]
    base = ours[0] if ours else min(workers, key=lambda w: min(w.samples))
    print(f"{group}, {threads} thread{'s' * (threads > 1)}: median of quiet samples (~ all samples: "
          f"too few were quiet) / best, ms; time / time of {base.name} (median of ratios); peak MiB")
    rows = []
    for w in sorted(workers, key=lambda w: min(w.samples)):
        median = statistics.median(w.samples[i] for i in clean_rounds([w]))
        ratio = statistics.median(w.samples[i] / base.samples[i] for i in clean_rounds([base, w]))
        rows.append({"name": w.name, "group": group, "threads": threads, "error": w.error,
                     "median_ms": median, "best_ms": min(w.samples), "ratio": ratio,
                     "ratio_to": base.name, "peak_mib": w.peak, "samples_ms": w.samples,
                     "disturbed": w.disturbed})
        print(f"  {w.name:<48}{'~' if w.quiet() < QUIET_ENOUGH else ' '}{median:8.1f} /"
              f"{min(w.samples):8.1f}   x{ratio:5.2f} {w.peak:7.0f}   "
              f"{w.quiet()}/{len(w.samples)} quiet", flush=True)
    return rows


def cpu_model():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    if sys.argv[1:2] == ["--export"]:
        export(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--groups", nargs="+", default=["f32", "bf16", "train"],
                        choices=["f32", "bf16", "train"])
    parser.add_argument("--only", nargs="+", help="only configurations whose name contains one")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--engine", help="path of fathom_bench_model; without it, baselines alone")
    parser.add_argument("--compile", action="store_true", help="also torch.compile (needs g++)")
    parser.add_argument("--installed", action="store_true", help="also PyTorch as installed")
    parser.add_argument("--idle-wait", type=float, default=2.0,
                        help="seconds to wait for an idle machine before each sample")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/compare")
    parser.add_argument("--out", type=pathlib.Path, help="JSON result; default CACHE/result.json")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    from importlib.metadata import version
    versions = {p: version(p) for p in ("torch", "onnxruntime", "openvino", "numpy")}
    print(f"{cpu_model()}, {os.cpu_count()} CPUs, {platform.platform()}, {versions}")
    rows, missing = [], False
    for threads in args.threads:
        configs = configurations(args, threads)
        for group in args.groups:
            part = {k: v for k, v in configs.items() if v[2] == group}
            if part:
                measured = measure_group(args, group, threads, part)
                missing |= len(measured) < len(part)
                rows += measured
    result = {"cpu": cpu_model(), "platform": platform.platform(), "versions": versions,
              "model": "Depth Anything V2-S, 518x518, batch 1", "rows": rows}
    out = args.out or args.cache / "result.json"
    out.write_text(json.dumps(result, indent=2))
    print(f"\nwritten to {out}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
