"""Official parameter names to those of Hugging Face transformers, and the config.json beside them."""

import re

import torch

_RULES = [
    (r"pretrained\.(cls_token|mask_token)", r"backbone.embeddings.\1"),
    (r"pretrained\.pos_embed", r"backbone.embeddings.position_embeddings"),
    (r"pretrained\.patch_embed\.proj\.", r"backbone.embeddings.patch_embeddings.projection."),
    (r"pretrained\.blocks\.(\d+)\.attn\.proj\.",
     r"backbone.encoder.layer.\1.attention.output.dense."),
    (r"pretrained\.blocks\.(\d+)\.ls([12])\.gamma",
     r"backbone.encoder.layer.\1.layer_scale\2.lambda1"),
    (r"pretrained\.blocks\.(\d+)\.mlp\.w12\.", r"backbone.encoder.layer.\1.mlp.weights_in."),
    (r"pretrained\.blocks\.(\d+)\.mlp\.w3\.", r"backbone.encoder.layer.\1.mlp.weights_out."),
    (r"pretrained\.blocks\.(\d+)\.", r"backbone.encoder.layer.\1."),
    (r"pretrained\.norm\.", r"backbone.layernorm."),
    (r"depth_head\.projects\.(\d)\.", r"neck.reassemble_stage.layers.\1.projection."),
    (r"depth_head\.resize_layers\.(\d)\.", r"neck.reassemble_stage.layers.\1.resize."),
    (r"depth_head\.scratch\.output_conv1\.", r"head.conv1."),
    (r"depth_head\.scratch\.output_conv2\.0\.", r"head.conv2."),
    (r"depth_head\.scratch\.output_conv2\.2\.", r"head.conv3."),
]


def hf_name(name):
    """The name of one tensor, except qkv, which becomes three."""
    match = re.fullmatch(r"depth_head\.scratch\.layer(\d)_rn\.weight", name)
    if match:
        return f"neck.convs.{int(match[1]) - 1}.weight"
    match = re.fullmatch(r"depth_head\.scratch\.refinenet(\d)\.(.*)", name)
    if match:  # counted from the coarsest level
        rest = match[2].replace("out_conv.", "projection.")
        rest = re.sub(r"resConfUnit(\d)\.conv(\d)", r"residual_layer\1.convolution\2", rest)
        return f"neck.fusion_stage.layers.{4 - int(match[1])}.{rest}"
    for pattern, replacement in _RULES:
        new, count = re.subn("^" + pattern, replacement, name)
        if count:
            return new
    raise KeyError(name)


def to_hf(weights, config):
    out = {}
    for name, tensor in weights.items():
        match = re.fullmatch(r"pretrained\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)", name)
        if match:
            prefix = f"backbone.encoder.layer.{match[1]}.attention.attention."
            for part, rows in zip(("query", "key", "value"), tensor.split(config.channels)):
                out[f"{prefix}{part}.{match[2]}"] = rows.contiguous()
        else:
            out[hf_name(name)] = tensor
    assert all(isinstance(t, torch.Tensor) for t in out.values())
    return out


def hf_config(config):
    return {
        "architectures": ["DepthAnythingForDepthEstimation"],
        "model_type": "depth_anything",
        "depth_estimation_type": "metric" if config.metric else "relative",
        "max_depth": round(config.max_depth) if config.metric else 1,
        "reassemble_hidden_size": config.channels,
        "patch_size": 14,
        "reassemble_factors": [4, 2, 1, 0.5],
        "neck_hidden_sizes": list(config.out_channels),
        "fusion_hidden_size": config.features,
        "head_in_index": -1,
        "head_hidden_size": 32,
        "backbone_config": {
            "model_type": "dinov2",
            "image_size": 518,
            "patch_size": 14,
            "hidden_size": config.channels,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "mlp_ratio": 4,
            "use_swiglu_ffn": config.swiglu,
            "out_indices": [tap + 1 for tap in config.taps],  # 0 is the embedding
            "apply_layernorm": True,
            "reshape_hidden_states": False,
        },
    }
