"""Shared parts of the checks: device, sizes, timing, and a folder with training images."""

import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.hardware import duration
from workflows import models
from workflows.data import dead_leaves, fractions, manifest
from workflows.data.degradations import bicubic_resize


@dataclass(frozen=True)
class Sizes:
    """Sizes of the measurements: `FULL` on a card, `TINY` to test the command on a CPU."""

    networks: tuple[str, ...]  # networks whose outputs and gradients are compared with the CPU's
    large: str  # the network of the goals
    small: str  # the network of the training runs
    speeds: tuple[str, ...]
    batch: int
    rows: int  # of a comparison with the CPU
    repeats: int
    steps: int  # of a training run
    image: tuple[int, int]  # height and width of a restored image
    features: tuple[int, int, int]  # batch, patches, features of the contrastive loss
    dense_features: tuple[int, int, int]  # as many as fit the dense loss
    pictures: tuple[int, int]  # number and side of the images to train on
    kwargs: dict[str, dict[str, int]] = field(default_factory=dict)  # changed arguments of networks


FULL = Sizes(
    networks=("edsr_baseline", "rdn_b", "ignn_tiny", "swinir_light", "ipt_small", "ipt_base"),
    large="ipt_base",
    small="ipt_small",
    speeds=("ipt_base", "edsr_baseline", "rdn_b", "ipt_small", "swinir", "edsr"),
    batch=256,
    rows=4,
    repeats=10,
    steps=40,
    image=(1356, 2040),
    features=(256, 256, 576),
    dense_features=(16, 256, 576),
    pictures=(64, 400),
)
TINY = Sizes(
    networks=("edsr_tiny", "ignn_tiny", "ipt_tiny"),
    large="ipt_tiny",
    small="ipt_tiny",
    speeds=("edsr_tiny",),
    batch=4,
    rows=2,
    repeats=1,
    steps=6,
    image=(60, 70),
    features=(6, 16, 8),
    dense_features=(6, 16, 8),
    pictures=(12, 96),
    kwargs={
        "edsr_tiny": {"num_feat": 8, "num_block": 1},
        "ignn_tiny": {"num_feat": 8, "num_block": 2},
        "ipt_tiny": {"num_feat": 4, "patch_size": 12, "num_heads": 2, "depth": 1},
    },
)


class Bench:
    """A device, with the helpers of the checks.

    Args:
        device: `cuda` or `cpu`; on a CPU sizes are tiny and bounds on speed do not apply.
        folder: for temporary files.
    """

    def __init__(self, device: str, folder: Path) -> None:
        self.device = torch.device(device)
        self.folder = folder
        self.shared = folder  # of all checks
        self.sizes = FULL if self.cuda else TINY

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def card(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.cuda else "cpu"

    def network(self, variant: str, seed: int = 0) -> nn.Module:
        """An untrained x2 network on the CPU, the same each time."""
        torch.manual_seed(seed)
        return models.build(variant, ("sr2",), **self.kwargs(variant))

    def pairs(self, variant: str, rows: int) -> tuple[Tensor, Tensor]:
        """Synthetic images and their reductions on the CPU; noise would exaggerate differences (`benchmarks.rounding`)."""
        return leaves(range(rows), self.patch_size(variant))

    def patch_size(self, variant: str) -> int:
        from ipt_models.variants import VARIANTS

        return {**VARIANTS.get(variant, {}), **self.kwargs(variant)}.get("patch_size", 48 if self.cuda else 12)

    def kwargs(self, variant: str) -> dict[str, int]:
        """Changed arguments of a network, for tests on a CPU."""
        return self.sizes.kwargs.get(variant, {})

    def autocast(self, bf16: bool) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16) if bf16 else nullcontext()

    def compile(self, module: Any, **options: Any) -> Any:
        """`torch.compile`; on a CPU without code generation, which needs a compiler and minutes."""
        return torch.compile(module, **(options if self.cuda else {"backend": "aot_eager"}))

    def compile_layers(self, model: nn.Module) -> nn.Module:
        """An IPT whose layers are compiled, in the same way."""
        model.compile_layers(**({} if self.cuda else {"backend": "aot_eager"}))
        return model

    def synchronize(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any], warm_up: int = 3, repeats: int | None = None) -> float:
        """Median wall time of a call, including the device's work."""
        warm_up = warm_up if self.cuda else 1
        times = [duration(work, self.device)["wall"] for _ in range(warm_up + (repeats or self.sizes.repeats))]
        return median(times[warm_up:])

    def peak_gb(self, work: Callable[[], Any]) -> float:
        """Peak memory of tensors on the device during a call, in GB; NaN on a CPU."""
        if not self.cuda:
            work()
            return float("nan")
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        return torch.cuda.max_memory_allocated(self.device) / 1e9

    def reset(self) -> None:
        """Undo the changes of global state by a training run or a check."""
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        if "torch._dynamo" in sys.modules:  # importing it takes seconds
            torch._dynamo.reset()
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()

    @cached_property
    def pictures(self) -> Path:
        """A folder of synthetic JPEGs with their tables: `images/`, `validation.csv`, `fraction.csv`."""
        count, side = self.sizes.pictures
        folder = self.shared / "pictures"
        (folder / "images" / "train" / "leaves").mkdir(parents=True)
        for index in range(count):
            image = cv2.cvtColor(dead_leaves.draw(0, index, side), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / "images" / "train" / "leaves" / f"{index:03d}.jpg"), image)
        train, held_out = fractions.split_validation(manifest.scan(folder / "images").images, 4)
        manifest.write_table(held_out, folder / "validation.csv")
        manifest.write_table(fractions.select(train, 1.0, seed=0), folder / "fraction.csv")
        return folder

    @property
    def table(self) -> pd.DataFrame:
        """The training images of `pictures`."""
        return pd.read_csv(self.pictures / "fraction.csv", keep_default_na=False)


def leaves(indices: range, side: int) -> tuple[Tensor, Tensor]:
    """Dead-leaves images and their reductions by 2: x (B, 3, side, side) and y (B, 3, 2·side, 2·side) in [0, 1]."""
    images = [torch.from_numpy(dead_leaves.draw(0, index, 2 * side)).permute(2, 0, 1) for index in indices]
    y = torch.stack(images)
    return bicubic_resize(y, 1 / 2) / 255, y / 255


def relative(value: Tensor, reference: Tensor) -> float:
    """‖value − reference‖ / ‖reference − its mean‖, in float64 on the CPU; 0 if both are constant and equal."""
    value, reference = value.detach().double().cpu(), reference.detach().double().cpu()
    difference = torch.linalg.vector_norm(value - reference)
    return 0.0 if difference == 0 else (difference / torch.linalg.vector_norm(reference - reference.mean())).item()


def gradient(model: nn.Module) -> Tensor:
    """All gradients of a network in one vector; zeros for parameters without a gradient."""
    return torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).detach().flatten().float().cpu()
            for p in model.parameters()
        ]
    )


def reason(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"[:300]
