"""Peak rates of GPUs from their makers' data sheets, for MFU. Imports no torch.

Dense rates in TFLOP/s, without sparsity, of products that accumulate in float32. A card that is not listed gets no MFU.
"""

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

Arithmetic = Literal["bf16", "tf32", "float32"]


class Peak(NamedTuple):
    """One card's rates in TFLOP/s, and the data sheet; its figures with sparsity are halved here."""

    bf16: float
    tf32: float
    float32: float
    source: str


PEAKS: dict[str, Peak] = {
    "H200": Peak(989, 494, 67, "NVIDIA H200 data sheet, 2024 (SXM)"),
    "H200 NVL": Peak(835, 417, 60, "NVIDIA H200 data sheet, 2024 (NVL)"),
    "GH200": Peak(989, 494, 67, "NVIDIA GH200 data sheet, 2024"),
    "H100": Peak(989, 494, 67, "NVIDIA H100 data sheet, 2024 (SXM)"),
    "H100 NVL": Peak(835, 417, 60, "NVIDIA H100 data sheet, 2024 (NVL, one card of the pair)"),
    "H100 PCIe": Peak(756, 378, 51, "NVIDIA H100 data sheet, 2022 (PCIe)"),
    "A100": Peak(312, 156, 19.5, "NVIDIA A100 data sheet, 2021 (SXM and PCIe)"),
    "L40S": Peak(362, 183, 91.6, "NVIDIA L40S data sheet, 2023"),
    "L4": Peak(121, 60, 30.3, "NVIDIA L4 data sheet, 2023"),
    "A10": Peak(125, 62.5, 31.2, "NVIDIA A10 data sheet, 2021"),
    "RTX 4090": Peak(165, 82.6, 82.6, "NVIDIA Ada GPU architecture, appendix A, 2022"),
    "RTX 3090": Peak(71, 35.6, 35.6, "NVIDIA Ampere GA102 GPU architecture, table 2, 2021"),
}
# A word in the name that marks another, slower card.
OTHER_CARDS = frozenset({"laptop", "d", "ti", "mig", "max"})


def peak_flops(card: str, arithmetic: Arithmetic) -> float | None:
    """A card's peak in FLOP/s; None if it is not listed.

    Args:
        card: its name in CUDA, for example `NVIDIA H100 80GB HBM3`.
        arithmetic: the format in which products are computed.
    """
    words = set(re.split(r"[^a-z0-9]+", card.lower()))
    fitting = [name for name in PEAKS if set(name.lower().split()) <= words]
    if not fitting or words & OTHER_CARDS:
        return None
    return 1e12 * getattr(PEAKS[max(fitting, key=len)], arithmetic)


def peak_of(device: "torch.device", precision: str, matmul_precision: str) -> float | None:
    """The peak in FLOP/s of the card that a recipe computes on; None on a CPU and for unlisted cards.

    Args:
        device: a device; only CUDA devices have a peak.
        precision: Fabric's, for example `bf16-mixed`.
        matmul_precision: torch's precision of float32 products.
    """
    arithmetic = {"bf16-mixed": "bf16", "32-true": "float32" if matmul_precision == "highest" else "tf32"}.get(
        precision
    )
    if device.type != "cuda" or arithmetic is None:
        return None
    import torch

    return peak_flops(torch.cuda.get_device_name(device), arithmetic)
