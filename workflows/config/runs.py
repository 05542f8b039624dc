"""One run of the grid: the settings that decide its weights, its name, and the digest that shows whether it is up to date."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from baselines.own import sources
from ipt_models.tasks import parse_task
from workflows.config.schema import DIVIDING, FEEDING, PLACING, WATCHING, Contrastive, Data, Section, Training


def fraction_label(fraction: float) -> str:
    """0.2 → `20`, 0.005 → `0.5`: a fraction in the names of runs and files, in per cent."""
    return f"{100 * fraction:g}"


class Run(Section):
    """One training: everything that decides its weights, and what it is called.

    A fine-tuned run begins from the weights of `pretrained` and has its `fraction`; at fraction 0 there is none.
    """

    experiment: str
    name: str
    model: str
    variant: str
    kwargs: dict[str, Any]
    contrastive: Contrastive | None
    fraction: float
    seed: int
    tasks: tuple[str, ...]
    data: Data
    training: Training
    pretrained: "Run | None" = None

    @property
    def min_side(self) -> int:
        """Smallest usable side of a training image in pixels."""
        return self.training.patch_size * max(parse_task(task).scale for task in self.tasks)

    @property
    def finetuned(self) -> bool:
        """Whether this is a run of the second stage; at fraction 0 it has no first one."""
        return self.pretrained is not None or self.fraction == 0

    @property
    def source(self) -> str:
        """Folder of the tables of its images, relative to the experiment's folder."""
        return "data/finetune" if self.finetuned else "data"

    @property
    def subset_fraction(self) -> float:
        """The fraction of images that its own stage uses: fine-tuning uses all; `fraction` is that of pre-training."""
        return 1.0 if self.finetuned else self.fraction

    @property
    def subset(self) -> str:
        """Table of its training images, relative to the experiment's folder."""
        return f"{self.source}/fraction-{fraction_label(self.subset_fraction)}-seed-{self.seed}.csv"

    @property
    def cores(self) -> int:
        """Cores that a process of the run keeps busy: torch's threads and the loader's processes."""
        return self.training.threads + self.data.workers

    @property
    def group_size(self) -> int | None:
        """Number of images that the contrastive loss compares with each other; None without it."""
        if self.contrastive is None or self.contrastive.weight == 0:
            return None
        return self.contrastive.group_size or self.training.batch_size

    def is_recorded_in(self, record: Mapping[str, Any]) -> bool:
        """Whether a `provenance.json` records this training.

        A fine-tuned run's digest also names its initial weights. A record of an earlier version, whose config lacks keys of
        today, counts with their defaults; not for an own network, whose files its digest holds.
        """
        if str(record.get("digest")).partition("-")[0] == self.digest:
            return True
        try:
            return (
                not sources(self.variant, self.kwargs)
                and Run.model_validate(record.get("config")).digest == self.digest
            )
        except ValueError:
            return False

    @property
    def digest(self) -> str:
        """Changes exactly when a key changes that affects the weights by more than the order of sums.

        The images' location is not included: the tables given to a run identify the images.
        `threads` is included, because it changes the order of sums and so the bits;
        `DIVIDING` is not, because a long run must be able to continue on other devices.
        """
        spec = self.model_dump(mode="json", exclude={"experiment", "name", "model", "pretrained"})
        if self.pretrained is not None:
            spec["pretrained"] = self.pretrained.digest
        spec |= sources(self.variant, self.kwargs)
        for key in (*WATCHING, *DIVIDING):
            del spec["training"][key]
        for key in (*FEEDING, *PLACING):
            del spec["data"][key]
        return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
