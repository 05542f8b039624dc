"""Trained networks and references with one interface for scoring; picks the head for each task."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines import whole_image
from baselines.cost import INPUT_SIZE, count_macs, count_parameters
from baselines.registry import UNTRAINED
from ipt_models import windows as ipt_windows
from ipt_models.dihedral import self_ensemble
from ipt_models.tasks import Task, can_restore, nearest_head, parse_task
from workflows import models
from workflows.config.choices import reference_restores
from workflows.evaluation.image_files import ImageError, first_line
from workflows.evaluation.inputs import as_batch, as_pixels
from workflows.evaluation.protocol import Protocol


class RestorerError(ValueError):
    """A model that cannot do what was requested, in one readable message."""


class Restorer:
    """A model that restores whole images.

    Attributes:
        label: the model's name by its checkpoint, or the reference's.
        metadata: the checkpoint's header; empty for references.
        setting: `plain` for the protocol's defaults, or else the differences: the windows of IPT (`side-by-side`, `averaged`,
            `blended`), `x8` and `bf16`, joined by +.
        parallel_images: whether restoring images in parallel, one per thread, is faster than one after the other with all
            threads.
    """

    def __init__(
        self,
        model: str | Path,
        protocol: Protocol = Protocol(),  # noqa: B008  (frozen)
        self_ensemble: bool = False,
        windows: ipt_windows.Windows | None = None,
        precision: str = "32-true",
        device: str = "cpu",
        tile: int | None = None,
        progress: bool = False,
        default_windows: ipt_windows.Windows = ipt_windows.DEFAULT,
        tasks: Sequence[str] | None = None,
        overlap: int | None = None,
        own: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: a checkpoint's path (see `workflows.models.load`), `bicubic` or `identity`.
            protocol: decides the rounding of the `bicubic` reference, and whether `identity` is scored on noise.
            self_ensemble: average over the eight flips and rotations.
            windows: how IPT's windows cover an image, see `ipt_models.windows`; None is `default_windows` for IPT.
            precision: `32-true` or `bf16-mixed`.
            device: torch's name of the device.
            tile: side of the tiles of networks other than IPT, see `baselines.whole_image`.
            default_windows: by default the protocol's, `centre`.
            tasks: the tasks of another project's network, if its weights do not show them.
            progress: show a bar for an image that takes longer than two seconds.
            overlap: margin in input pixels, which allows tiles for networks whose outputs depend on the whole image; not
                exact.
            own, kwargs: the user's class that the weights are for, and its arguments.

        Raises:
            RestorerError: if an option does not apply to the model.
        """
        self.device = torch.device(device)
        self.metadata = {}
        self._protocol = protocol
        self._tile = tile
        self._overlap = overlap
        self._progress = progress
        self._self_ensemble = self_ensemble
        self._windows = windows or default_windows
        self._bf16 = precision == "bf16-mixed"
        self._network: torch.nn.Module | None = None
        self._takes_windows = False
        self.parallel_images = str(model) in UNTRAINED
        if self.parallel_images:
            self.label = str(model)
            if own:
                raise RestorerError(f"{self.label} has no weights for {own}")
            if self_ensemble or windows:
                raise RestorerError(f"{self.label} is not a network: it has no windows and nothing to ensemble")
        else:
            self._network, self.metadata = models.load(model, device, tasks, own, kwargs)
            self.label = self.metadata.get("model", Path(model).stem)
            self._takes_windows = models.is_ipt(self.metadata["variant"])
            if windows and not self._takes_windows:
                raise RestorerError(
                    f"{self.label} ({self.metadata['variant']}) takes whole images; only IPT cuts them into windows"
                )
        words = [self._windows] if self._takes_windows and self._windows != ipt_windows.DEFAULT else []
        words += [word for word, on in (("x8", self_ensemble), ("bf16", self._bf16)) if on]
        self.setting = "+".join(words) or "plain"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that a network was trained on; none for references, which take any of their kind."""
        return tuple(self._network.tasks) if self._network is not None else ()

    @property
    def sees_whole_images(self) -> bool:
        """Whether an output pixel may depend on any input pixel, so that tiles change the result."""
        return self._network is not None and not self._takes_windows and self._network.receptive_field is None

    def can(self, task: Task) -> bool:
        """Whether the model has a head for a task; for a reference, whether it is scored on the task."""
        if self._network is None:
            return reference_restores(self.label, task, self._protocol.noise)
        return can_restore(self._network.tasks, task)

    def head(self, task: Task) -> str:
        """The head that restores a task: `nearest_head` of a network, empty for references.

        Raises:
            HeadError: if the network has none for it.
        """
        return nearest_head(task, self._network.tasks, self.label) if self._network is not None else ""

    def costs(self, tasks: Iterable[str]) -> dict[str, Any]:
        """A network's parameters, and its multiply-adds per output pixel of each task (see `baselines.cost`)."""
        macs = {}
        for name in tasks:
            task = parse_task(name)
            head = self.head(task)
            macs[name] = count_macs(self._network, head) / (INPUT_SIZE * task.scale) ** 2
        return {"parameters": count_parameters(self._network), "macs_per_output_pixel": macs}

    @torch.inference_mode()
    def __call__(self, x: Tensor, task: Task) -> Tensor:
        """Restore one image: float RGB in [0, 1], (1, 3, H, W) -> (1, 3, s*H, s*W), not clipped, on x's device."""
        if self._network is None:
            return self._reference(x, task)
        head = self.head(task)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            if not self._self_ensemble:
                return self._restore(x.to(self.device), head).float().to(x.device)
            return self_ensemble(lambda turned: self._restore(turned, head).float(), x.to(self.device)).to(x.device)

    def pixels(self, degraded: np.ndarray, task: Task, path: Path) -> np.ndarray:
        """Restore one image: (h, w, 3) on the 0-255 scale -> uint8 (s*h, s*w, 3).

        Args:
            path: the image's name in messages.

        Raises:
            ImageError: if the network cannot take it or memory runs out, or if the output is not finite.
        """
        try:
            output = self(as_batch(degraded), task)
            if output.isfinite().all():
                return as_pixels(output)
        except (
            RuntimeError,
            ValueError,
            AssertionError,
            MemoryError,
        ) as error:  # a network's reasons have several types
            raise ImageError(f"{path}: {first_line(error)}") from None
        raise ImageError(f"{path}: the output of {self.label} for {task.name} is not finite")

    def _restore(self, x: Tensor, head: str) -> Tensor:
        if self._takes_windows:
            return ipt_windows.restore(self._network, x, head, self._windows, progress=self._progress)
        return whole_image.restore(self._network, x, head, self._tile, self._progress, self._overlap)

    def _reference(self, x: Tensor, task: Task) -> Tensor:
        if self.label == "bicubic" and self._protocol.bicubic == "float":
            from baselines.bicubic import bicubic_resize

            return bicubic_resize(x.double(), task.scale).to(x.dtype)
        return models.build(self.label, (task.name,))(x, task.name)


def usable_device(name: str) -> str:
    """Torch's name of an available device; `auto` is a GPU if there is one.

    Raises:
        RestorerError: for an unknown name, or a missing device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        reason = str(error).partition(". ")[0].partition("\n")[0]
        raise RestorerError(f"--device {name}: {reason}; cpu always works, auto takes a GPU if there is one") from None
    return name
