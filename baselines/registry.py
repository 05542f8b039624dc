"""The baselines: one network, one entry. Importing this module imports neither torch nor basicsr.

To add a network, write its class (`baselines/edsr.py` is the shortest example) and its entry here. Everything else follows
from the entry: `baselines.build`, configs, `python -m baselines list`, matching by cost, and BasicSR's registry.
`docs/models.md` shows how to use a network without adding it.
"""

from collections.abc import Mapping
from typing import Any

from baselines.entry import Network, Sizing
from baselines.own import entry, is_own
from ipt_models.suggestions import nearest

NETWORKS = (
    Network(
        name="edsr",  # table 1 of the paper has the baseline (16 × 64) and the final (32 × 256) model
        class_path="baselines.edsr:EDSR",
        arguments=("num_feat", "num_block", "res_scale"),
        variants={
            "edsr_tiny": {"num_feat": 32, "num_block": 8},
            "edsr_baseline": {"num_feat": 64, "num_block": 16},
            "edsr": {"num_feat": 256, "num_block": 32, "res_scale": 0.1},
        },
        published={("edsr_baseline", "sr4"): "1.5 M (EDSR, table 1)", ("edsr", "sr4"): "43 M (EDSR, table 1)"},
        sizing=Sizing("num_feat", "num_block", unit=2),
    ),
    Network(
        name="rdn",  # A and B are the configurations of the EDSR authors' PyTorch code; B is the paper's main model
        class_path="baselines.rdn:RDN",
        arguments=("num_feat", "growth", "num_block", "num_conv", "gradient_checkpointing", "subtract_mean"),
        variants={
            "rdn_tiny": {"num_feat": 16, "growth": 16, "num_block": 3, "num_conv": 3},
            "rdn_a": {"num_feat": 64, "growth": 32, "num_block": 20, "num_conv": 6},
            "rdn_b": {"num_feat": 64, "growth": 64, "num_block": 16, "num_conv": 8},
        },
        sizing=Sizing("growth", "num_block", follows="num_feat"),
    ),
    Network(
        name="ignn",  # the paper's graph needs VGG19's weights; the tiny variant learns the features of its graph
        class_path="baselines.ignn:IGNN",
        arguments=(
            *("num_feat", "num_block", "res_scale", "num_neighbors", "window", "graph_features", "vgg_weights"),
        ),
        variants={
            "ignn_tiny": {"num_feat": 16, "num_block": 4, "graph_features": "encoder"},
            "ignn": {"num_feat": 256, "num_block": 32, "graph_features": "vgg"},
        },
        sizing=Sizing("num_feat", "num_block", unit=2),
        from_weights={"vgg_weights": "from_checkpoint"},
    ),
    Network(
        name="swinir",  # the paper's lightweight and classical models
        class_path="baselines.swinir:SwinIR",
        arguments=("embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "upsampler"),
        variants={
            "swinir_light": {"embed_dim": 60, "depths": (6, 6, 6, 6), "upsampler": "pixelshuffledirect"},
            "swinir": {"embed_dim": 180, "depths": (6, 6, 6, 6, 6, 6)},
        },
        published={
            ("swinir_light", "sr2"): "878 K (SwinIR, table 3; without 32,400 of relative position)",
            ("swinir_light", "sr3"): "886 K (SwinIR, table 3; without 32,400 of relative position)",
            ("swinir_light", "sr4"): "897 K (SwinIR, table 3; without 32,400 of relative position)",
            ("swinir", "sr2"): "11.8 M (SwinIR)",
        },
        sizing=Sizing("embed_dim", "depths", unit=6, heads="num_heads"),  # six heads by default
    ),
    Network("bicubic", "baselines.interpolation:Bicubic", (), {"bicubic": {}}, trained=False),
    Network("identity", "baselines.interpolation:Identity", (), {"identity": {}}, trained=False),
)

NETWORK_OF: dict[str, Network] = {variant: network for network in NETWORKS for variant in network.variants}
VARIANTS: dict[str, Mapping[str, Any]] = {variant: NETWORK_OF[variant].variants[variant] for variant in NETWORK_OF}
UNTRAINED = frozenset(variant for variant, network in NETWORK_OF.items() if not network.trained)


def network_of(variant: str) -> Network:
    """The entry of a variant; for a user's class it is made here.

    Raises:
        ValueError: for an unknown name.
    """
    if is_own(variant):
        return entry(variant)
    if variant not in NETWORK_OF:
        raise ValueError(
            f"unknown baseline {variant!r}{nearest(variant, VARIANTS)}; known are {', '.join(VARIANTS)}, and your own as "
            "path/to/net.py:Class or package.module:Class"
        )
    return NETWORK_OF[variant]
