"""Writes a hash-filled Depth Anything checkpoint in any of the forms found in the wild.

    python tests/reference/make_checkpoint.py --size s --form pth --out build/depth_anything_v2_vits.pth

Forms: pth (zip), legacy (torch < 1.6), wrapped ({"model": ...} with "module." before every name, as the
metric trainer writes), safetensors (official names), hf (Hugging Face names; --out is then a folder,
which also gets config.json). --shards N splits safetensors and adds model.safetensors.index.json.
V1 and V2 differ in no tensor: the file name, config.json or the metadata of safetensors tells them apart.
"""

import argparse
import json
import math
import pathlib

import safetensors.torch
import torch

import depth_anything as da
import names

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def metadata(config, version):
    meta = {"fathom.model": f"vit{config.size}", "fathom.version": f"v{version}",
            "fathom.kind": "metric" if config.metric else "relative",
            "fathom.taps": ",".join(map(str, config.taps))}
    if config.metric:
        meta["fathom.max_depth"] = f"{config.max_depth:g}"
    return meta


def save_sharded(weights, folder, shards, meta):
    folder.mkdir(parents=True, exist_ok=True)
    if shards == 1:
        safetensors.torch.save_file(weights, folder / "model.safetensors", meta)
        return
    keys = list(weights)
    per = math.ceil(len(keys) / shards)
    index = {"metadata": {"total_size": sum(t.nbytes for t in weights.values())}, "weight_map": {}}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {k: weights[k] for k in keys[i * per : (i + 1) * per]}
        safetensors.torch.save_file(part, folder / file, meta)
        index["weight_map"] |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def write(config, version, form, out, dtype="f32", shards=1):
    """Writes the file or folder `out`; returns the path to give to the engine."""
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    state = da.hash_model(config).state_dict()
    weights = type(state)((k, v.to(DTYPES[dtype])) for k, v in state.items())
    meta = {"format": "pt"} | metadata(config, version)
    if form == "pth":
        torch.save(weights, out)
    elif form == "legacy":
        torch.save(weights, out, _use_new_zipfile_serialization=False)
    elif form == "wrapped":
        model = {f"module.{k}": v for k, v in weights.items()}
        torch.save({"model": model, "epoch": 3, "previous_best": {"d1": 0.5, "rmse": 1.5}}, out)
    elif form == "safetensors" and shards == 1:
        safetensors.torch.save_file(dict(weights), out, meta)
    elif form == "safetensors":
        save_sharded(dict(weights), out, shards, meta)
        return out / "model.safetensors.index.json"
    elif form == "hf":
        # As on the hub: no metadata of ours, config.json carries what the tensors do not.
        save_sharded(names.to_hf(weights, config), out, shards, {"format": "pt"})
        (out / "config.json").write_text(json.dumps(names.hf_config(config), indent=2))
        return out / ("model.safetensors" if shards == 1 else "model.safetensors.index.json")
    else:
        raise ValueError(f"unknown form {form}")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices="sblg", default="s")
    parser.add_argument("--version", type=int, choices=(1, 2), default=2)
    parser.add_argument("--max-depth", type=float, default=0, help="metres: a metric model")
    parser.add_argument("--layers", type=int, help="fewer encoder blocks; taps the last four")
    parser.add_argument("--form", choices=("pth", "legacy", "wrapped", "safetensors", "hf"),
                        default="pth")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    config = da.config(args.size, args.version, args.max_depth, args.layers)
    print(write(config, args.version, args.form, args.out, args.dtype, args.shards))


if __name__ == "__main__":
    main()
