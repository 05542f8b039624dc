"""The baselines' variants as data: the papers' sizes, and `*_tiny` ones that a CPU trains in half a minute.

`network` names the class; everything else is passed to it.
"""

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    # EDSR: table 1 of the paper has baseline (16 × 64) and final (32 × 256) models
    "edsr_tiny": {"network": "edsr", "num_feat": 32, "num_block": 8},
    "edsr_baseline": {"network": "edsr", "num_feat": 64, "num_block": 16},
    "edsr": {"network": "edsr", "num_feat": 256, "num_block": 32, "res_scale": 0.1},
    # RDN: the configurations of the EDSR authors' PyTorch code; B is the paper's main model
    "rdn_tiny": {"network": "rdn", "num_feat": 16, "growth": 16, "num_block": 3, "num_conv": 3},
    "rdn_a": {"network": "rdn", "num_feat": 64, "growth": 32, "num_block": 20, "num_conv": 6},
    "rdn_b": {"network": "rdn", "num_feat": 64, "growth": 64, "num_block": 16, "num_conv": 8},
    # IGNN: the paper's network, whose graph needs VGG19's weights; the tiny one learns its graph's features
    "ignn_tiny": {"network": "ignn", "num_feat": 16, "num_block": 4, "graph_features": "encoder"},
    "ignn": {"network": "ignn", "num_feat": 256, "num_block": 32, "graph_features": "vgg"},
    # SwinIR: the paper's lightweight and classical models
    "swinir_light": {
        "network": "swinir",
        "embed_dim": 60,
        "depths": (6, 6, 6, 6),
        "upsampler": "pixelshuffledirect",
    },
    "swinir": {"network": "swinir", "embed_dim": 180, "depths": (6, 6, 6, 6, 6, 6)},
    "bicubic": {"network": "bicubic"},
    "identity": {"network": "identity"},
}

UNTRAINED = frozenset({"bicubic", "identity"})

# What the papers say of their networks' parameters, where they say it.
PUBLISHED: dict[tuple[str, str], str] = {
    ("edsr_baseline", "sr4"): "1.5 M (EDSR, table 1)",
    ("edsr", "sr4"): "43 M (EDSR, table 1)",
    ("swinir_light", "sr2"): "878 K (SwinIR, table 3; without 32,400 of relative position)",
    ("swinir_light", "sr3"): "886 K (SwinIR, table 3; without 32,400 of relative position)",
    ("swinir_light", "sr4"): "897 K (SwinIR, table 3; without 32,400 of relative position)",
    ("swinir", "sr2"): "11.8 M (SwinIR)",
    ("ipt_base", "sr2"): "115.5 M, 33 G multiply-adds (IPT)",
}

# What each network takes beside its task: a config is checked against it before torch is loaded.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "edsr": ("num_feat", "num_block", "res_scale"),
    "rdn": ("num_feat", "growth", "num_block", "num_conv", "gradient_checkpointing", "subtract_mean"),
    "ignn": ("num_feat", "num_block", "res_scale", "num_neighbors", "window", "graph_features", "vgg_weights"),
    "swinir": ("embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "upsampler"),
    "bicubic": (),
    "identity": (),
}
