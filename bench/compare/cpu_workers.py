"""The libraries that cpu_baselines.py compares with: one process each.

    python bench/compare/cpu_workers.py torch|ort|openvino OPTIONS_AS_JSON

Protocol of a worker: text lines on stdin and stdout, one answer line for each request line.
    (start)   loads the weights, prepares, runs two warm-up passes, then prints "ready"
    "r"       prints the peak resident memory of the process so far, in MiB
    "o PATH"  writes the result of the last pass as raw little-endian f32, prints the element count.
              Forward: the output [518,518]. Training: the gradient of
              pretrained.patch_embed.proj.weight [384,3,14,14], the last one the backward pass reaches
    "q"       exits
    else      runs one pass, prints its wall time in milliseconds
"""

import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/reference"))

SIZE = 518


def serve(run, result):
    """Speaks the protocol: `run()` is one pass, `result()` the last result as a f32 array."""
    for _ in range(2):
        run()
    print("ready", flush=True)
    for line in sys.stdin:
        line = line.strip()
        if line == "q":
            return
        if line == "r":
            # Not getrusage: its maximum survives exec, so it may be the parent's.
            status = open("/proc/self/status").read()
            answer = f"{int(status.split('VmHWM:')[1].split()[0]) / 1024:.1f}"
        elif line.startswith("o "):
            values = result()
            values.tofile(line[2:])
            answer = str(values.size)
        else:
            start = time.perf_counter()
            run()
            answer = f"{(time.perf_counter() - start) * 1e3:.3f}"
        print(answer, flush=True)


def torch_worker(o):
    import contextlib

    import safetensors.torch
    import torch

    import depth_anything as da
    import hash_fill

    torch.set_num_threads(o["threads"])
    da.Attention.fused = not o.get("manual_attention", False)
    with torch.device("meta"):
        model = da.DepthAnything(da.config("s"))
    model.load_state_dict(safetensors.torch.load_file(o["weights"]), assign=True)
    model.eval()
    dtype = torch.bfloat16 if o["dtype"] == "bf16" else torch.float32
    to_bf16 = o.get("bf16") == "to"
    if to_bf16:
        model.to(dtype)
    if o.get("channels_last"):
        model.to(memory_format=torch.channels_last)
    image = da.hash_input(SIZE, SIZE)
    last = {}

    def forward():
        x = image.to(dtype) if to_bf16 else image
        if o.get("channels_last"):
            x = x.contiguous(memory_format=torch.channels_last)
        with (torch.autocast("cpu", torch.bfloat16) if o.get("bf16") == "autocast"
              else contextlib.nullcontext()):
            return call(x).float()

    call = model
    if o.get("compile"):
        import torch._inductor.config
        torch._inductor.config.freezing = not o["train"]  # folds and packs the weights
        call = torch.compile(model)

    if o["train"]:
        r = torch.from_numpy(hash_fill.loss_weights(SIZE, SIZE))
        for p in model.parameters():
            p.requires_grad_(True)

        def run():
            model.zero_grad(set_to_none=True)
            (forward() * r).sum().backward()

        def result():
            return model.pretrained.patch_embed.proj.weight.grad.contiguous().numpy()
    else:
        guard = torch.no_grad if o.get("no_grad") or o.get("compile") else torch.inference_mode

        def run():
            with guard():
                last["y"] = forward()

        def result():
            return last["y"].contiguous().numpy()
    serve(run, result)


def ort_worker(o):
    import onnxruntime as ort

    import hash_fill

    options = ort.SessionOptions()
    options.intra_op_num_threads = o["threads"]
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(o["spin"])))
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if o["threads"] > 1:
        # The calling thread is one of the pool; the others get a core each (counted from 1).
        cores = ";".join(str(c + 1) for c in sorted(os.sched_getaffinity(0))[1:])
        options.add_session_config_entry("session.intra_op_thread_affinities", cores)
    session = ort.InferenceSession(o["weights"], options, ["CPUExecutionProvider"])
    feed = {"image": hash_fill.image(SIZE, SIZE)}
    last = {}

    def run():
        last["y"] = session.run(None, feed)[0]

    serve(run, lambda: last["y"])


def openvino_worker(o):
    import openvino as ov

    import hash_fill

    properties = {"INFERENCE_NUM_THREADS": o["threads"], "INFERENCE_PRECISION_HINT": o["dtype"],
                  "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": True}
    if o.get("as_installed"):
        properties = {}
    compiled = ov.Core().compile_model(o["weights"], "CPU", properties)
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if precision != o["dtype"]:
        raise SystemExit(f"OpenVINO computes in {precision} on this CPU, not in {o['dtype']}")
    request = compiled.create_infer_request()
    feed = {0: hash_fill.image(SIZE, SIZE)}
    last = {}

    def run():
        last["y"] = request.infer(feed)[0]

    serve(run, lambda: last["y"].astype("float32"))


if __name__ == "__main__":
    {"torch": torch_worker, "ort": ort_worker, "openvino": openvino_worker}[sys.argv[1]](
        json.loads(sys.argv[2]))
