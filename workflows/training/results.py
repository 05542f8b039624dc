"""A finished run's files: `model.safetensors`, `train.csv` and, last, `provenance.json`."""

import csv
from pathlib import Path
from typing import Any

import torch
from torch import nn

from baselines.own import sources
from ipt_models.files import replacing
from workflows import models, provenance
from workflows.config.runs import Run
from workflows.data.schedule import count_distinct
from workflows.training.devices import PrecisionChoice
from workflows.training.history import History
from workflows.training.reuse import CODE
from workflows.training.validation import Learning


def write_results(
    run: Run,
    digest: str,
    network: nn.Module,
    history: History,
    tables: tuple[Path, ...],
    output: Path,
    images: int,
    precision: PrecisionChoice,
    cpu_seconds: float,
    macs: dict[str, float],
    learning: Learning,
    initial: dict[str, str] | None,
    diverged: bool,
) -> None:
    """Write them, each whole or not at all.

    Args:
        run: the run that is complete.
        digest: of the run and of the weights that it started from.
        network: the network to score: with the last step's weights, or their average.
        history: the run's progress.
        tables: the files that list the images used.
        output: folder to write into.
        images: number of training images.
        precision: the precision, and the reason for the choice.
        cpu_seconds: processor time of all its processes, in core-seconds.
        macs: multiply-adds per pixel of each task's output.
        learning: the measurements of the learning curve.
        initial: path and hash of the weights that the run started from, if not from fresh ones.
        diverged: whether it is a trial whose loss or weights are not finite.
    """
    output.mkdir(parents=True, exist_ok=True)
    header = {**run.model_dump(mode="json", include={"experiment", "model", "fraction", "seed"}), "run": run.name}
    models.save(network, output / "model.safetensors", {**header, "digest": digest})
    write_log(history.log, output / "train.csv")
    recipe, patches = run.training, history.patches.total()
    parameters = sum(p.numel() for p in network.parameters())
    distinct = count_distinct(images, run.data.fixed_crops, patches, recipe.patch_size, run.tasks)
    record = provenance.record(
        models.code(CODE, run.variant, run.kwargs),
        data=tables,
        **header,
        variant=run.variant,
        **sources(run.variant, run.kwargs),
        tasks=run.tasks,
        digest=digest,
        init=initial,
        config=run.model_dump(mode="json"),
        training={
            "steps": history.step,
            "diverged": diverged,
            "batch_size": recipe.batch_size,
            "patch_size": recipe.patch_size,
            "patches": patches,
            "patches_by_task": dict(history.patches),
            "images": images,
            "crops_per_image": patches / images,
            "distinct_patches": distinct and distinct.distinct_patches,
            "patch_epochs": distinct and distinct.patch_epochs,
            "target_values": distinct and distinct.target_values,
            "target_values_per_parameter": distinct and distinct.target_values / parameters,
            "matched": models.matched(network, run.kwargs),
            "interpolation_l1": learning.interpolation_l1,
            "negatives": None if run.group_size is None else history.negatives / history.step,
            "weights": "last step" if recipe.ema is None else f"average of decay {recipe.ema}, last step",
            "precision": precision.precision,
            "precision_reason": precision.reason,
            "computed_on": history.computed_on,
            "made_by": history.made_by,
            "wall_seconds": history.log[-1]["seconds"],
            "cpu_seconds": round(cpu_seconds, 2),
        },
        parameters=parameters,
        macs_per_output_pixel=macs,
        threads=torch.get_num_threads(),
        weights_sha256=provenance.sha256(output / "model.safetensors"),
    )
    provenance.write_json(record, output / "provenance.json")


def write_log(rows: list[dict[str, Any]], path: Path) -> None:
    """Write train.csv atomically."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
