"""A run's progress and speed: part of its checkpoints, and the columns of train.csv."""

import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from statistics import median
from typing import Any

import torch

from ipt_models.tasks import parse_task
from workflows import provenance
from workflows.config.schema import Training

# Of train.csv, with their meanings, from which docs/results.md is written.
COLUMNS = {
    "step": "optimizer steps since the beginning of the run",
    "patches": "patches seen since then",
    "loss": "of this step's batch: L1 + λ · contrastive",
    "l1": "of this step's batch, on the 0–255 scale",
    "contrastive": "of this step's batch, without λ; empty without the loss",
    "contrastive_share": "norm of λ · contrastive's gradient over that of L1's plus its own",
    "learning_rate": "of this step",
    "clipped_share": "share of the steps since the last row whose gradient was clipped",
    "gradient_norm": "median norm of the gradient before clipping, over the steps since the last row",
    "patches_per_second": "since the last row",
    "data_wait": "share of the time since the last row that was spent waiting for data; on a CPU also making the pairs",
    "mfu": "model FLOPs utilization since the last row; empty where the peak is not known",
    "memory_mb": "largest memory of the run so far: of the GPU's tensors, or of the process",
    "seconds": "wall time since the beginning of the run",
    "training_l1": "on the run's own patches, which it sees repeatedly with `data.fixed_crops`",
    "training_psnr": "in dB, on the same patches",
    "validation_l1": "on held-out crops, the same for all runs of an experiment with equal tasks, `batch_size` and "
    "`patch_size`; equally many of each task",
    "validation_psnr": "in dB, on the same crops",
    "gap": "held-out minus training L1, for crops as hard as the training ones: a line is fitted to held-out loss over "
    "interpolation's loss, crop by crop, and evaluated at the training crops",
}


def training_flops(macs_per_output_pixel: dict[str, float], patch_size: int) -> dict[str, float]:
    """FLOPs of training on one patch of each task: those of the network's products, once forward and twice backward.

    Activations that are computed again and the contrastive loss do not count, as is the custom of MFU.

    Args:
        macs_per_output_pixel: of each task, from torch's counter.
        patch_size: side of the network's input.
    """
    return {task: 6 * macs * (patch_size * parse_task(task).scale) ** 2 for task, macs in macs_per_output_pixel.items()}


@dataclass
class History:
    """A run's progress.

    Attributes:
        step: optimizer steps.
        log: rows of train.csv.
        patches: patches trained on, by task.
        gradient_norms: of the steps since the last row of train.csv, before clipping; a float or a scalar tensor each.
        negatives: negatives of an anchor of the contrastive loss: mean over the batch, summed over the steps.
        computed_on: the divisions of its batches, in the order in which they were used.
        made_by: the code that trained it (its hash and commit, versions of packages), in the order in which it was used.
        seconds, cpu_seconds: wall and processor time of earlier processes.
    """

    step: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    patches: Counter[str] = field(default_factory=Counter)
    gradient_norms: list[float | torch.Tensor] = field(default_factory=list)
    negatives: float = 0.0
    computed_on: list[dict[str, Any]] = field(default_factory=list)
    made_by: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._started = time.perf_counter()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the values of `state`."""
        for key, value in state.items():
            setattr(self, key, Counter(value) if key == "patches" else value)

    def state(self, cpu_seconds: float) -> dict[str, Any]:
        """Plain values, for a checkpoint; `cpu_seconds` is the time of the current processes."""
        return {
            **{entry.name: getattr(self, entry.name) for entry in fields(self)},
            "patches": dict(self.patches),
            "gradient_norms": [float(norm) for norm in self.gradient_norms],
            "seconds": self.wall_seconds,
            "cpu_seconds": self.cpu_seconds + cpu_seconds,
        }

    def gradient_columns(self, largest: float | None) -> dict[str, float | None]:
        """clipped_share (of the steps since the last row; empty without clipping) and gradient_norm (their median).

        Args:
            largest: the norm that a gradient is clipped to; None: it is not clipped.
        """
        norms = [float(norm) for norm in self.gradient_norms]
        self.gradient_norms.clear()
        clipped = None if largest is None else sum(norm > largest for norm in norms) / len(norms)
        return {"clipped_share": clipped, "gradient_norm": median(norms)}

    def note_division(self, recipe: Training) -> bool:
        """Record the division of batches from here on; True if it differs from the one before."""
        return _note(recipe.division, self.computed_on)

    def note_code(self, code: str) -> bool:
        """Record the code that trains from here on, by its hash; True if it or a package differs from the one before."""
        return _note(
            {"code": code, "versions": provenance.versions(), **provenance.commit()}, self.made_by, ("code", "versions")
        )

    @property
    def wall_seconds(self) -> float:
        """Seconds of this process and earlier ones."""
        return self.seconds + time.perf_counter() - self._started


def _note(entry: dict[str, Any], entries: list[dict[str, Any]], keys: Iterable[str] | None = None) -> bool:
    """Append an entry unless it equals the last one (in these keys); True if it differs from an earlier one."""
    same = entries and all(entries[-1].get(key) == entry[key] for key in keys or entry)
    if not same:
        entries.append(entry)
    return not same and len(entries) > 1


class Window:
    """Pace since the last row of train.csv.

    Args:
        device: the device that computes.
        peak: peak rate of all devices together in FLOP/s, if known.
    """

    def __init__(self, device: torch.device, peak: float | None) -> None:
        self._device, self._peak = device, peak
        self.restart()

    def restart(self) -> None:
        self._patches, self._flops, self._waited = 0, 0.0, 0.0
        self._begun = time.perf_counter()

    def add(self, patches: int, flops: float, waited: float) -> None:
        """A step: patches and FLOPs of the global batch, seconds until this process had its input."""
        self._patches += patches
        self._flops += flops
        self._waited += waited

    def columns(self) -> dict[str, float | None]:
        """patches_per_second, data_wait (share of the time), mfu (empty where the peak is not known), memory_mb (the
        most so far: a CUDA device's tensors, or the resident size of this process)."""
        elapsed = time.perf_counter() - self._begun
        if self._device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(self._device)
        else:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "patches_per_second": round(self._patches / elapsed, 2),
            "data_wait": round(self._waited / elapsed, 4),
            "mfu": None if self._peak is None else round(self._flops / elapsed / self._peak, 4),
            "memory_mb": round(memory / 2**20, 1),
        }
