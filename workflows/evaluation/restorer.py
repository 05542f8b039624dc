"""What is scored: trained networks and the references, behind one call, with the head that fits a task."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from baselines.registry import UNTRAINED
from ipt_models.tasks import Task, nearest_head
from ipt_models.variants import VARIANTS as IPTS
from workflows import models
from workflows.evaluation.protocol import Protocol

REFERENCE_KINDS = {"bicubic": ("sr",), "identity": ("dn", "dr")}


class InferenceError(ValueError):
    """A model that cannot do what is asked of it, told in one message."""


class Restorer:
    """A model that restores whole images.

    Attributes:
        label: the model's name by its checkpoint, or the reference's.
        metadata: the checkpoint's header; empty for references.
        setting: `plain`, or what departs from it: `overlap`, `x8`, `bf16`, joined by +.
        side_by_side: whether images are better restored side by side, one a thread, than one with all threads.
    """

    def __init__(
        self,
        model: str | Path,
        protocol: Protocol = Protocol(),  # noqa: B008  (frozen)
        self_ensemble: bool = False,
        stride: int | Literal["overlapping"] | None = None,
        precision: str = "32-true",
        device: str = "cpu",
    ) -> None:
        """Load a model.

        Args:
            model: a checkpoint's path, `bicubic` or `identity`.
            protocol: decides the rounding of the `bicubic` reference.
            self_ensemble: average over the eight flips and rotations.
            stride: IPT's step between windows in LR pixels, or `overlapping` for the network's own; None is one whole window.
            precision: `32-true` or `bf16-mixed`.
            device: torch's name of it.
        """
        self.device = torch.device(device)
        self.metadata = {}
        self._protocol = protocol
        self._self_ensemble = self_ensemble
        self._stride = stride
        self._bf16 = precision == "bf16-mixed"
        self._network: torch.nn.Module | None = None
        self.side_by_side = str(model) in UNTRAINED
        if self.side_by_side:
            self.label = str(model)
            if self_ensemble or stride:
                raise InferenceError(f"{self.label} is not a network: there are no windows and nothing to ensemble")
        else:
            self._network, self.metadata = models.load(model, device)
            self.label = self.metadata.get("model", Path(model).stem)
            if stride and self.metadata["variant"] not in IPTS:
                raise InferenceError(
                    f"{self.label} ({self.metadata['variant']}) sees whole images; a stride is for IPT's windows"
                )
            if stride == "overlapping":
                from ipt_models.windows import overlapping_stride

                self._stride = overlapping_stride(self._network)
        words = [word for word, on in (("overlap", stride), ("x8", self_ensemble), ("bf16", self._bf16)) if on]
        self.setting = "+".join(words) or "plain"

    def can(self, task: Task) -> bool:
        """Whether a task is for this model; only references, which each do one half, say no."""
        return self._network is not None or task.kind in REFERENCE_KINDS[self.label]

    def head(self, task: Task) -> str:
        """The head that restores a task: `nearest_head` of a network, empty for references.

        Raises:
            HeadError: the network has none for it.
        """
        return nearest_head(task, self._network.tasks, self.label) if self._network is not None else ""

    @torch.inference_mode()
    def __call__(self, x: Tensor, task: Task) -> Tensor:
        """Restore one image: float RGB in [0, 1], (1, 3, H, W) -> (1, 3, s*H, s*W), not clipped, on x's device."""
        if self._network is None:
            return self._reference(x, task)
        head = self.head(task)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            if not self._self_ensemble:
                return self._restore(x.to(self.device), head).float().to(x.device)
            return dihedral_mean(lambda turned: self._restore(turned, head).float(), x.to(self.device)).to(x.device)

    def _restore(self, x: Tensor, head: str) -> Tensor:
        if self.metadata["variant"] in IPTS:
            from ipt_models.windows import restore

            return restore(self._network, x, head, stride=self._stride)
        from baselines.whole_image import restore

        return restore(self._network, x, head)

    def _reference(self, x: Tensor, task: Task) -> Tensor:
        if self.label == "bicubic" and self._protocol.bicubic == "float":
            from baselines.bicubic import bicubic_resize

            return bicubic_resize(x.double(), task.scale).to(x.dtype)
        return models.build(self.label, (task.name,))(x, task.name)


def dihedral_mean(restore: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """×8 self-ensemble (Timofte et al. 2016): the mean over flips and quarter turns, each turned back."""
    total = 0
    for quarter_turns in range(4):
        for flipped in (False, True):
            turned = torch.rot90(x.flip(-1) if flipped else x, quarter_turns, (-2, -1))
            restored = torch.rot90(restore(turned), -quarter_turns, (-2, -1))
            total = total + (restored.flip(-1) if flipped else restored)
    return total / 8
