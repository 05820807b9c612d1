"""PyTorch as the other side of gpu_baselines.py: one long-lived process, one JSON object a line.

Speaks the protocol of gpu_baselines.py. A request "open" names, beside what the engine gets, a variant:
    eager, compile              the op, or a model under autocast with its maps channels_last
    eager_to, compile_to        a model whose weights are of the dtype: no autocast
    flash, cudnn                attention with that backend of scaled_dot_product_attention
    loop                        the loss picture by picture, as published code has it
Time is that of events around the replay of a captured graph of several calls, or around the calls where
"graph" is false or the capture fails; on a CPU it is the wall clock.
"""

import contextlib
import json
import pathlib
import statistics
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/reference"))

import depth_anything as da  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def read(spec, device):
    values = np.fromfile(spec["path"], "<f4").reshape(spec["shape"])
    return torch.from_numpy(values).to(device)


def nchw(x):
    """A map [B,H,W,C] as [B,C,H,W] in channels_last: no copy."""
    return x.permute(0, 3, 1, 2)


# --- Losses --------------------------------------------------------------------------------------


def normalized(x):
    flat = x.flatten(1)
    centred = flat - flat.median(1, keepdim=True)[0]
    return (centred / centred.abs().mean(1, keepdim=True)).view_as(x)


def ssi_loss(prediction, target):
    """Mean over pictures of error + 2 gradient matching, all pixels valid."""
    r = normalized(prediction) - normalized(target)
    loss = r.abs().mean((1, 2))
    for k in range(4):
        s = r[:, :: 2**k, :: 2**k]
        slopes = (s[:, :, 1:] - s[:, :, :-1]).abs().sum((1, 2)) + (
            s[:, 1:] - s[:, :-1]).abs().sum((1, 2))
        loss = loss + 2 * slopes / s[0].numel()
    return loss.mean()


def ssi_loop(prediction, target):
    import losses

    of_image = losses.loss(losses.median_residual, losses.mean_absolute, 2)
    mask = torch.ones(prediction.shape[1:], dtype=torch.bool, device=prediction.device)
    return torch.stack([of_image(p, t, mask) for p, t in zip(prediction, target)]).mean()


# --- Ops -----------------------------------------------------------------------------------------


def attention(request, qkv):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    B, T, C3 = qkv.shape
    heads = request["heads"]
    q, k, v = qkv.view(B, T, 3, heads, C3 // 3 // heads).permute(2, 0, 3, 1, 4).unbind(0)
    backend = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}.get(
        request["variant"])
    with sdpa_kernel(backend) if backend else contextlib.nullcontext():
        y = F.scaled_dot_product_attention(q, k, v)
    return y.transpose(1, 2).reshape(B, T, C3 // 3)


def load_model(request, device, dtype):
    import safetensors.torch

    config = da.config(request["model"].lower())
    with torch.device("meta"):
        model = da.DepthAnything(config)
    model.load_state_dict(safetensors.torch.load_file(request["weights"]), assign=True)
    return model.to(device, dtype).to(memory_format=torch.channels_last).eval()


class Contender:
    """call() is one call, prepare() what comes before it untimed, result() flat f32 of the first."""

    def __init__(self, request, device):
        self.request, self.device = request, device
        self.dtype = DTYPES[request["dtype"]]
        self.compiled = request["variant"].startswith("compile")
        self.graph = None
        torch.compiler.reset()
        op = request["op"]
        maker = {"train": self.make_train, "optimizer": self.make_optimizer}.get(op, self.make_pass)
        maker(op)

    def compile(self, f):
        if not self.compiled:
            return f
        mode = self.request["compile_mode"]
        return torch.compile(f, backend="eager") if mode == "eager" else torch.compile(f, mode=mode)

    def autocast(self):
        on = self.request["variant"] in ("eager", "compile") and self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype) if on else contextlib.nullcontext()

    def make_pass(self, op):
        request, pass_ = self.request, self.request["pass"]
        parameters = []
        with_model = op in ("model", "decoder")
        leaf_dtype = self.dtype
        if with_model:
            to = request["variant"].endswith("_to")
            model = load_model(request, self.device, self.dtype if to else torch.float32)
            leaf_dtype = self.dtype if to or op == "decoder" else torch.float32
            if pass_ == "forward":
                model.requires_grad_(False)
            else:
                part = model.depth_head if op == "decoder" else model
                parameters = [p for n, p in part.named_parameters()
                              if "refinenet4.resConfUnit1" not in n and "mask_token" not in n]
        leaves = [read(spec, self.device).to(leaf_dtype) for spec in request["inputs"]]
        differentiated = []
        if pass_ != "forward":
            for spec, leaf in zip(request["inputs"], leaves):
                if spec["gradient"]:
                    differentiated.append(leaf.requires_grad_())
            self.dy = read(request["dy"], self.device)

        def plain(*x):
            if op == "attention":
                return attention(request, *x)
            if op == "layer_norm_add":
                return F.layer_norm(x[0], x[0].shape[-1:], x[1], x[2], 1e-6) + x[0]
            if op == "conv3x3":
                return F.conv2d(nchw(x[0]), nchw(x[1]), x[2], padding=1).permute(0, 2, 3, 1)
            if op == "bilinear":
                return F.interpolate(nchw(x[0]), size=request["size"], mode="bilinear",
                                     align_corners=True).permute(0, 2, 3, 1)
            if op == "ssi_loss":
                return (ssi_loop if request["variant"] == "loop" else ssi_loss)(*x)
            if op == "model":
                return model(nchw(x[0]))
            if op == "decoder":
                rows, columns = x[0].shape[1:3]
                return model.depth_head([m.flatten(1, 2) for m in x], rows, columns)[:, 0]
            raise ValueError(f"op {op}: unknown")

        compiled = self.compile(plain)

        def forward():
            with self.autocast():
                return compiled(*leaves)

        def gradients(y, keep):
            return torch.autograd.grad(y, differentiated + parameters, self.dy.to(y.dtype),
                                       retain_graph=keep)

        if pass_ == "forward":
            def call():
                with torch.no_grad():
                    self.last = forward()
        elif pass_ == "backward":
            y = forward()

            def call():
                self.last = gradients(y, True)[: len(differentiated)]
        else:
            def call():
                self.last = gradients(forward(), False)[: len(differentiated)]
        self.call = call

    def make_train(self, op):
        request = self.request
        model = load_model(request, self.device, torch.float32)
        image, target = (read(spec, self.device) for spec in request["inputs"])
        encoder = list(model.pretrained.parameters())
        groups = [{"params": encoder, "lr": 5e-6},
                  {"params": list(model.depth_head.parameters()), "lr": 5e-5}]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=self.device.type == "cuda")

        def losses(x):
            with self.autocast():
                depth = model(nchw(x))
            return ssi_loss(depth.float(), target)

        compiled = self.compile(losses)

        def call():
            optimizer.zero_grad(set_to_none=True)
            loss = compiled(image)
            loss.backward()
            optimizer.step()
            self.last = loss.detach()

        self.call = call

    def make_optimizer(self, op):
        model = load_model(self.request, self.device, torch.float32)
        parameters = list(model.parameters())
        for p in parameters:
            p.grad = (p.detach() * 0.5).to(self.dtype).float()
        average = [p.detach().clone() for p in parameters]
        rounded = [p.detach().to(torch.bfloat16) for p in parameters]
        optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01,
                                      fused=self.device.type == "cuda")
        bias = model.pretrained.patch_embed.proj.bias

        def call():
            nn.utils.clip_grad_norm_(parameters, 1.0, foreach=self.device.type == "cuda")
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, parameters, 0.001)
                torch._foreach_copy_(rounded, parameters)
            self.last = bias.detach()

        self.call = call

    def result(self):
        last = self.last if isinstance(self.last, (list, tuple)) else [self.last]
        return torch.cat([x.detach().float().reshape(-1).cpu() for x in last]).numpy().copy()


# --- Time ----------------------------------------------------------------------------------------


class Clock:
    def __init__(self, device):
        self.device = device
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None

    def scope(self):
        return torch.cuda.stream(self.stream) if self.stream else contextlib.nullcontext()

    def seconds(self, work):
        if not self.stream:
            start = time.perf_counter()
            work()
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record(self.stream)
        work()
        end.record(self.stream)
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3

    def capture(self, call, calls):
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            for _ in range(calls):
                call()
        return graph


class Worker:
    def __init__(self, device):
        self.clock = Clock(torch.device(device))
        self.contender = None
        if device == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def open(self, request):
        self.close()
        clock = self.clock
        if clock.stream:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        contender = Contender(request, clock.device)
        contender.call()
        self.first = contender.result()
        for _ in range(3):  # compiles, chooses algorithms
            contender.call()
        once = min(clock.seconds(contender.call) for _ in range(3))
        self.peak = torch.cuda.max_memory_allocated() - before if clock.stream else 0
        sample_s = request.get("sample_s", 1e-3)
        calls = max(1, min(64, int(sample_s / max(once, 1e-7))))
        graph = None
        if clock.stream and request.get("graph", True):
            try:
                graph = clock.capture(contender.call, 1)
                graph.replay()
                once = max(clock.seconds(graph.replay), 1e-6)
                calls = max(1, min(64, int(sample_s / once)))
                if calls > 1:
                    graph = clock.capture(contender.call, calls)
            except Exception as problem:  # noqa: BLE001 -- then its calls are timed
                graph = None
                print(f"not captured: {problem}", file=sys.stderr)
        self.contender, self.graph, self.calls = contender, graph, calls
        return {"ok": True, "graph": graph is not None, "calls": calls}

    def sample(self):
        if self.graph:
            self.graph.replay()  # keeps the device busy until the next one is queued
            return self.clock.seconds(self.graph.replay) / self.calls

        def calls():
            for _ in range(self.calls):
                self.contender.call()

        return self.clock.seconds(calls) / self.calls

    def close(self):
        self.contender = self.graph = None
        if self.clock.stream:
            torch.cuda.empty_cache()

    def ceilings(self, request):
        """Of a copy and of a square product of random numbers."""
        device, n, count = self.clock.device, request["side"], request["copied"] // 8
        x = torch.randn(count, device=device)
        y = torch.empty_like(x)
        a, b = (torch.randn(n, n, device=device).bfloat16() for _ in range(2))

        def median(work):
            work()
            return statistics.median(self.clock.seconds(work) for _ in range(5))

        return {"bytes_per_s": 8 * count / median(lambda: y.copy_(x)),
                "bf16_flops_per_s": 2 * n**3 / median(lambda: a @ b)}

    def versions(self):
        answer = {"torch": torch.__version__}
        if self.clock.stream:
            properties = torch.cuda.get_device_properties(0)
            answer |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version()),
                       "device": properties.name}
        return answer

    def answer(self, request):
        what = request["do"]
        if what == "open":
            return self.open(request)
        if what == "close":
            self.close()
            return {"ok": True}
        if what == "ceilings":
            return self.ceilings(request)
        if what == "versions":
            return self.versions()
        if what == "sample":
            return {"seconds": self.sample()}
        if what == "memory":
            return {"peak_bytes": self.peak}
        if what == "result":
            self.first.astype("<f4").tofile(request["path"])
            return {"count": self.first.size}
        raise ValueError(f"request {what}: unknown")


def main():
    device = sys.argv[1]
    worker = Worker(device)
    answers = sys.stdout
    sys.stdout = sys.stderr  # what compilers print is no answer
    print(json.dumps({"ready": torch.__version__}), file=answers, flush=True)
    with worker.clock.scope():
        for line in sys.stdin:
            try:
                answer = worker.answer(json.loads(line))
            except Exception as problem:  # noqa: BLE001 -- told to who asked
                answer = {"error": f"{type(problem).__name__}: {str(problem)[:600]}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
