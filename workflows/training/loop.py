"""The training loop, from a run of the grid to its weights.

Everything that decides the weights is a function of the run's seed and of the step: initial weights, subset, batches,
augmentation, noise. So a run repeats bit for bit, also when it was killed and resumed in between.
"""

import csv
import math
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from workflows import models, provenance
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs
from workflows.data.manifest import read_table
from workflows.experiment import Run
from workflows.training import checkpoint
from workflows.training.devices import make_fabric
from workflows.training.objective import compute_loss
from workflows.training.optimization import build_optimizer, build_scheduler
from workflows.training.validation import Progress, Validation

EXIT_INTERRUPTED = 75
"""Exit status of a run that saved a checkpoint because it was told to stop: try again (EX_TEMPFAIL)."""


class TrainingError(RuntimeError):
    """A run that cannot go on; the message says why."""


class Interrupted(Exception):
    """The run was told to stop and has saved its state."""


def train(
    run: Run,
    root: Path,
    fraction_csv: Path,
    validation_csv: Path,
    output: Path,
    resume: Path,
    init: Path | None = None,
) -> None:
    """Train one run of the grid; writes `model.safetensors`, `train.csv` and `provenance.json` into `output`.

    Args:
        run: the run.
        root: folder that the paths in the two tables are relative to.
        fraction_csv: the run's training images.
        validation_csv: held-out images, for the learning curve alone.
        output: folder for the results.
        resume: folder for checkpoints; an interrupted run goes on from there. Removed when the run is complete.
        init: a `model.safetensors` whose weights the run starts from; it may have more tasks. None: fresh weights.

    Raises:
        TrainingError: when the loss is not finite.
        Interrupted: after a signal, once the state is saved.
    """
    started = time.perf_counter()
    recipe = run.training
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    fabric, precision = make_fabric(recipe)
    images, held_out = read_table(fraction_csv), read_table(validation_csv)
    steps = recipe.budget.resolve_steps(len(images), recipe.batch_size, run.data.crops_per_image)

    # Counted first: it draws from the generator that is seeded next, and a failure costs no training.
    macs = models.macs_per_output_pixel(run.variant, run.tasks, **run.kwargs)
    torch.manual_seed(run.seed)  # the network's initial weights: nothing else draws from the global generator
    network = models.build(run.variant, run.tasks, **run.kwargs)
    origin = None
    if init is not None:
        models.initialise(network, init)
        origin = models.origin(init)
    digest = run.digest if origin is None else f"{run.digest}-{origin['weights_sha256'][:16]}"
    if recipe.channels_last:
        network = network.to(memory_format=torch.channels_last)
    network = network.to(fabric.device, torch.float64 if precision == "64-true" else torch.float32)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(trainable, recipe)
    scheduler = build_scheduler(optimizer, recipe, steps)
    model, optimizer = fabric.setup(network, optimizer)

    feed = {
        "root": root,
        "tasks": run.tasks,
        "patch_size": recipe.patch_size,
        "batch_size": recipe.batch_size,
        "cache_bytes": run.data.cache_mb * 2**20,
    }
    batches = Batches(
        images,
        seed=run.seed,
        crops_per_image=run.data.crops_per_image,
        buffer_images=run.data.buffer_images,
        workers=run.data.workers,
        **feed,
    )
    validation = {
        name: Validation(table, **feed, device=fabric.device)
        for name, table in (("training", images), ("validation", held_out))
    }

    first, log, spent, cpu_spent, seen = 0, [], 0.0, 0.0, Counter()
    if state := checkpoint.load_latest(resume, digest):
        if state["precision"] != precision:
            raise checkpoint.CheckpointError(
                f"the checkpoint in {resume} was made in {state['precision']}, this device computes in {precision}; "
                f"set training.precision to {state['precision']}, or delete {resume} to start afresh"
            )
        first, log, seen = state["step"], state["log"], Counter(state["seen"])
        spent, cpu_spent = state["seconds"], state["cpu_seconds"]
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        print(f"{run.name}: goes on after step {first:,}", flush=True)

    def seconds() -> float:
        return spent + time.perf_counter() - started

    def save(step: int) -> None:
        checkpoint.save(
            resume,
            step,
            {
                "digest": digest,
                "precision": precision,
                "model": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "log": log,
                "seconds": seconds(),
                "cpu_seconds": cpu_spent + provenance.cpu_seconds(),
                "seen": dict(seen),
            },
        )

    def on_signal(number: int, frame: Any) -> None:
        nonlocal told
        told = signal.Signals(number).name

    told: str | None = None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, on_signal)

    saved_at = time.perf_counter()
    window = _Window(first)
    bar = tqdm(total=steps, initial=first, desc=run.name, unit="step", mininterval=1, dynamic_ncols=True)
    feeding = batches.iterate(first)
    for batch, waited in _timed(feeding, steps - first):
        step = batch.step
        begun = time.perf_counter()
        x, y = make_pairs(batch, recipe.patch_size, run.seed, fabric.device)
        window.add(waited + time.perf_counter() - begun)
        scheduler.step_update(step)
        model.train()
        loss = compute_loss(model, x, y, batch.task, batch.image_ids.to(fabric.device), run.contrastive)
        logged = (step + 1) % recipe.log_every == 0 or step + 1 == steps or step == 0
        share = loss.contrastive_share(trainable) if logged else None
        optimizer.zero_grad()
        fabric.backward(loss.total)
        if recipe.gradient_clip is not None:
            fabric.clip_gradients(model, optimizer, max_norm=recipe.gradient_clip)
        optimizer.step()
        seen[batch.task] += recipe.batch_size
        bar.update()

        done = step + 1
        due = told is not None or time.perf_counter() - saved_at > recipe.checkpoint_minutes * 60
        if (logged or due) and not math.isfinite(loss.total.item()):
            raise TrainingError(
                f"{run.name}: the loss at step {done:,} is {loss.total.item()}; a lower training.learning_rate or a "
                f"training.gradient_clip may help. The last good checkpoint, if any, is in {resume}"
            )
        if logged:
            row = {
                "step": done,
                "patches": done * recipe.batch_size,
                "loss": loss.total.item(),
                "l1": loss.l1.item(),
                "contrastive": None if loss.contrastive is None else loss.contrastive.item(),
                "contrastive_share": share,
                "learning_rate": optimizer.param_groups[0]["lr"],
                **window.close(done, recipe.batch_size),
                "seconds": round(seconds(), 3),
                **dict.fromkeys(f"{name}_{what}" for name in validation for what in Progress._fields),
            }
            if done % recipe.validate_every == 0 or done == steps or step == 0:
                for name, crops in validation.items():
                    row |= {f"{name}_{what}": value for what, value in crops.measure(model)._asdict().items()}
            log.append(row)
            window = _Window(done)
            bar.set_postfix_str(f"loss {row['loss']:.2f}, {row['patches_per_second']:.0f} patches/s")
            if _crosses_quarter(done, steps, recipe.log_every):
                left = (steps - done) * recipe.batch_size / row["patches_per_second"]
                print(
                    f"{run.name}: {done / steps:4.0%}  L1 {row['l1']:5.2f}  "
                    f"{row['patches_per_second']:.0f} patches/s  {left:.0f} s left",
                    flush=True,
                )
        if due and done < steps:
            if told:
                feeding.close()  # so that its workers' time counts
            save(done)
            saved_at = time.perf_counter()
            if told:
                raise Interrupted(f"{run.name}: saved after step {done:,} on {told}; run again to go on")
    bar.close()
    feeding.close()

    write_results(
        run,
        digest,
        origin,
        network,
        log,
        (fraction_csv, validation_csv),
        output,
        interpolation={name: crops.measure_interpolation().l1 for name, crops in validation.items()},
        images=len(images),
        seen=seen,
        precision=precision,
        cpu_seconds=cpu_spent + provenance.cpu_seconds(),
        macs=macs,
    )
    checkpoint.remove(resume)
    print(
        f"{run.name}: {steps:,} steps, {sum(seen.values()):,} patches of {len(images):,} images in {seconds():.0f} s; "
        f"L1 {log[-1]['l1']:.2f}, held-out {log[-1]['validation_psnr']:.2f} dB",
        flush=True,
    )


def write_results(
    run: Run,
    digest: str,
    init: dict[str, str] | None,
    network: nn.Module,
    log: list[dict[str, Any]],
    tables: tuple[Path, ...],
    output: Path,
    interpolation: dict[str, float],
    images: int,
    seen: Counter[str],
    precision: str,
    cpu_seconds: float,
    macs: dict[str, float],
) -> None:
    """Write `model.safetensors`, `train.csv` and, last, `provenance.json`.

    Args:
        run: the run that is complete.
        digest: of the run and of the weights that it started from.
        init: the file that it started from, path and hash.
        network: its network.
        log: rows of train.csv.
        tables: the files that say which images were used.
        output: folder to write into.
        interpolation: interpolation's L1 on the fixed crops of training and of held-out images.
        images: number of training images.
        seen: patches seen of each task.
        precision: what was computed in.
        cpu_seconds: processor time that the run took, in core-seconds.
        macs: multiply-adds a pixel of each task's output.
    """
    output.mkdir(parents=True, exist_ok=True)
    header = {**run.model_dump(mode="json", include={"experiment", "model", "fraction", "seed"}), "run": run.name}
    models.save(network, output / "model.safetensors", {**header, "digest": digest})
    write_log(log, output / "train.csv")
    record = provenance.record(
        data=tables,
        **header,
        variant=run.variant,
        tasks=run.tasks,
        digest=digest,
        init=init,
        config=run.model_dump(mode="json"),
        training={
            "steps": log[-1]["step"],
            "batch_size": run.training.batch_size,
            "patch_size": run.training.patch_size,
            "patches": sum(seen.values()),
            "patches_by_task": dict(seen),
            "images": images,
            "crops_per_image": sum(seen.values()) / images,
            "interpolation_l1": interpolation,
            "precision": precision,
            "wall_seconds": log[-1]["seconds"],
            "cpu_seconds": round(cpu_seconds, 2),
        },
        parameters=sum(p.numel() for p in network.parameters()),
        macs_per_output_pixel=macs,
        threads=torch.get_num_threads(),
        weights_sha256=provenance.sha256(output / "model.safetensors"),
    )
    provenance.write_json(record, output / "provenance.json")


def write_log(rows: list[dict[str, Any]], path: Path) -> None:
    """Write train.csv atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


class _Window:
    """Throughput and the share of time spent waiting for data, since the last row of the log."""

    def __init__(self, step: int) -> None:
        self.step, self.waited, self.begun = step, 0.0, time.perf_counter()

    def add(self, waited: float) -> None:
        self.waited += waited

    def close(self, step: int, batch_size: int) -> dict[str, float]:
        elapsed = time.perf_counter() - self.begun
        return {
            "patches_per_second": round((step - self.step) * batch_size / elapsed, 2),
            "data_wait": round(self.waited / elapsed, 4),
        }


def _timed(batches: Iterator, count: int) -> Iterator[tuple[Any, float]]:
    """`count` batches, each with the seconds that it was waited for."""
    for _ in range(count):
        begun = time.perf_counter()
        batch = next(batches)
        yield batch, time.perf_counter() - begun


def _crosses_quarter(done: int, steps: int, log_every: int) -> bool:
    before = max(0, done - log_every)
    return done < steps and math.floor(4 * done / steps) > math.floor(4 * before / steps)
