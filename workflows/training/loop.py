"""The training loop, from a run of the grid to its weights.

Everything that decides the weights is a function of the run's seed and of the step: initial weights, subset, batches,
augmentation, noise. So a run repeats bit for bit, also when it was killed and resumed in between.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from torch import Tensor, nn
from tqdm import tqdm

from workflows import models, provenance
from workflows.config.grid import Run
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs
from workflows.data.manifest import read_table
from workflows.peak_rates import peak_of
from workflows.training import accumulation, checkpoint
from workflows.training.devices import Alone, launch
from workflows.training.history import History, Window, training_flops
from workflows.training.optimization import build_average, build_optimizer, build_scheduler
from workflows.training.processes import Processes
from workflows.training.results import write_results
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

    On several devices every process calls this. The first one writes and prints, and raises where all would alike.

    Args:
        run: the run.
        root: folder that the paths in the two tables are relative to.
        fraction_csv: the run's training images.
        validation_csv: held-out images, for the learning curve alone.
        output: folder for the results.
        resume: folder for checkpoints; an interrupted run goes on from there. Removed when the run is complete.
        init: a `model.safetensors` whose weights the run starts from; it may have more tasks. None: fresh weights.

    Raises:
        TrainingError: when the loss or a weight is not finite.
        CheckpointError: when a checkpoint cannot be written, or one that is there cannot be used.
        LostProcess: when another process of the run has ended.
        Interrupted: after a signal, once the state is saved.
    """
    history = History()
    fabric, precision = launch(run.training, run.tasks)
    with Processes(fabric) as processes:
        recipe = run.training
        images, held_out = read_table(fraction_csv), read_table(validation_csv)
        steps = recipe.budget.resolve_steps(len(images), recipe.batch_size, run.data.epoch_crops)

        # Counted first: it draws from the generator that is seeded next, and a failure costs no training.
        macs = models.macs_per_output_pixel(run.variant, run.tasks, **run.kwargs)
        torch.manual_seed(run.seed)  # the network's initial weights: nothing else draws from the global generator
        network = models.build(run.variant, run.tasks, **run.kwargs)
        started_from = None
        if init is not None:
            models.initialise(network, init)
            started_from = models.origin(init)
        if recipe.gradient_checkpointing:
            network.gradient_checkpointing = True
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)
        network = network.to(fabric.device, torch.float64 if precision == "64-true" else torch.float32)
        trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = build_optimizer(trainable, recipe)
        scheduler = build_scheduler(optimizer, recipe, steps)
        average = build_average(network, recipe)
        scored = network if average is None else average.module
        alone = Alone(fabric, scored)
        model, optimizer = fabric.setup(torch.compile(network) if recipe.compile else network, optimizer)

        parts = accumulation.divide(run)
        batches = Batches(
            images,
            root,
            run.tasks,
            recipe.patch_size,
            recipe.batch_size,
            seed=run.seed,
            crops_per_image=run.data.crops_per_image,
            buffer_images=run.data.buffer_images,
            workers=run.data.workers,
            cache_bytes=run.data.cache_mb * 2**20,
            rows=processes.rows(recipe.batch_size),
            pin_memory=fabric.device.type == "cuda",
            fixed_crops=run.data.fixed_crops,
            data_seed=run.data.seed,
            augment=recipe.augment,
        )
        fixed_crops = {}
        if fabric.is_global_zero:
            sizes = (recipe.patch_size, recipe.batch_size, run.data.cache_mb * 2**20)
            for name, table in (("training", images), ("validation", held_out)):
                fixed_crops[name] = Validation(table, root, run.tasks, *sizes, fabric.device)

        # The schedule's and the sampler's state is the step: both are functions of it.
        digest = run.digest if started_from is None else f"{run.digest}-{started_from['weights_sha256'][:16]}"
        # Data may lie elsewhere than before, but must be the same.
        tables = "".join(provenance.sha256(path)[:16] for path in (fraction_csv, validation_csv))
        if state := checkpoint.load_latest(resume, f"{digest}-{tables}"):
            if state["precision"] != precision:
                raise checkpoint.CheckpointError(
                    f"the checkpoint in {resume} was made in {state['precision']}, this device computes in {precision}; "
                    f"set training.precision to {state['precision']}, or delete {resume} to start afresh"
                )
            history.restore(state["history"])
            network.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            if average is not None:
                average.load_state_dict(state["average"])
            fabric.print(f"{run.name}: goes on after step {history.step:,}", flush=True)
        del state
        if not processes.same(history.step):
            raise checkpoint.CheckpointError(
                f"the processes of {run.name} found different checkpoints: is {resume} on a disk that all nodes share?"
            )
        if history.note_division(recipe):
            fabric.print(f"{run.name}: batches are divided otherwise than before: sums round differently", flush=True)

        def save() -> None:
            """Weights that are not finite never take a good checkpoint's place."""
            if broken := _not_finite(network):
                _fail(fabric, run, f"{broken} is not finite after step {history.step:,}", resume)
            cpu_seconds = processes.total(provenance.cpu_seconds())
            if fabric.is_global_zero:
                state = {"digest": f"{digest}-{tables}", "precision": precision, "history": history.state(cpu_seconds)}
                state |= {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
                if average is not None:
                    state["average"] = average.state_dict()
                checkpoint.save(resume, history.step, state)

        peak = peak_of(fabric.device, precision, recipe.matmul_precision)
        flops = training_flops(macs, recipe.patch_size)
        window = Window(fabric.device, None if peak is None else peak * processes.count)
        board = TensorBoardLogger(output, name="tensorboard", version="") if recipe.tensorboard else None
        saved_at = time.perf_counter()
        bar = tqdm(
            total=steps,
            initial=history.step,
            desc=run.name,
            unit="step",
            mininterval=1,
            dynamic_ncols=True,
            disable=not fabric.is_global_zero,
        )
        feeding = batches.iterate(history.step)
        for batch, waited in _timed(feeding, steps - history.step):
            done = batch.step + 1
            logged = done % recipe.log_every == 0 or done in (1, steps)
            begun = time.perf_counter()
            x, y = make_pairs(batch, recipe.patch_size, run.seed, fabric.device)
            image_ids = batch.image_ids.to(fabric.device)
            window.add(recipe.batch_size, recipe.batch_size * flops[batch.task], waited + time.perf_counter() - begun)

            scheduler.step_update(batch.step)
            optimizer.zero_grad()
            share = accumulation.GradientShare(trainable) if logged else None
            loss = accumulation.backward(fabric, model, x, y, batch.task, image_ids, run, parts, share)
            if recipe.gradient_clip is not None:
                # A norm that is not finite makes weights that are not, which are looked for below; looking here would wait.
                fabric.clip_gradients(model, optimizer, max_norm=recipe.gradient_clip, error_if_nonfinite=False)
            optimizer.step()
            if average is not None:
                average.update(network)
            history.step = done
            history.seen[batch.task] += recipe.batch_size
            bar.update()

            due = time.perf_counter() - saved_at > recipe.checkpoint_minutes * 60
            due |= recipe.checkpoint_steps is not None and done % recipe.checkpoint_steps == 0
            due, told = processes.agree(due)
            if (logged or due or told) and not math.isfinite(total := _mean(fabric, loss.total)):
                _fail(fabric, run, f"the loss at step {done:,} is {total}", resume)
            if logged:
                row = {
                    "step": done,
                    "patches": done * recipe.batch_size,
                    "loss": total,
                    "l1": _mean(fabric, loss.l1),
                    "contrastive": None if loss.contrastive is None else _mean(fabric, loss.contrastive),
                    "contrastive_share": share.value(fabric),
                    "learning_rate": optimizer.param_groups[0]["lr"],
                    **window.columns(),
                    "seconds": round(history.wall_seconds, 3),
                    **dict.fromkeys(f"{name}_{what}" for name in fixed_crops for what in Progress._fields),
                }
                if done % recipe.validate_every == 0 or done in (1, steps):
                    for name, crops in fixed_crops.items():
                        row |= {f"{name}_{what}": value for what, value in crops.measure(alone)._asdict().items()}
                    network.train()
                history.log.append(row)
                if board is not None:
                    board.log_metrics({key: value for key, value in row.items() if value is not None}, done)
                window.restart()
                bar.set_postfix_str(f"loss {row['loss']:.2f}, {row['patches_per_second']:.0f} patches/s")
                if _crosses_quarter(done, steps, recipe.log_every):
                    left = (steps - done) * recipe.batch_size / row["patches_per_second"]
                    fabric.print(
                        f"{run.name}: {done / steps:4.0%}  L1 {row['l1']:5.2f}  "
                        f"{row['patches_per_second']:.0f} patches/s  {left:.0f} s left",
                        flush=True,
                    )
            if (due or told) and done < steps:
                if told:
                    feeding.close()  # so that its workers' time counts
                save()
                saved_at = time.perf_counter()
                if told:
                    _end(fabric, Interrupted(f"{run.name}: saved after step {done:,} on {told}; run again to go on"))
        bar.close()
        feeding.close()

        if broken := _not_finite(scored):
            _fail(fabric, run, f"{broken} is not finite after the last step", resume)
        cpu_seconds = history.cpu_seconds + processes.total(provenance.cpu_seconds())
        if not fabric.is_global_zero:
            return
        write_results(
            run,
            digest,
            scored,
            history,
            (fraction_csv, validation_csv),
            output,
            images=len(images),
            precision=precision,
            cpu_seconds=cpu_seconds,
            macs=macs,
            interpolation={name: crops.measure_interpolation().l1 for name, crops in fixed_crops.items()},
            started_from=started_from,
        )
        checkpoint.remove(resume)
        print(
            f"{run.name}: {steps:,} steps, {history.seen.total():,} patches of {len(images):,} images in "
            f"{history.wall_seconds:.0f} s; L1 {history.log[-1]['l1']:.2f}, "
            f"held-out {history.log[-1]['validation_psnr']:.2f} dB",
            flush=True,
        )


def _mean(fabric: Fabric, value: Tensor) -> float:
    """Over the processes."""
    return fabric.all_reduce(value.detach(), reduce_op="mean").item()


def _not_finite(network: nn.Module) -> str | None:
    """The name of a weight that holds NaN or infinity, if there is one."""
    tensors = network.state_dict()
    finite = torch.stack([tensor.isfinite().all() for tensor in tensors.values()])  # looked at once, to wait once
    return None if finite.all() else list(tensors)[int(finite.logical_not().nonzero()[0])]


def _fail(fabric: Fabric, run: Run, what: str, resume: Path) -> NoReturn:
    _end(
        fabric,
        TrainingError(
            f"{run.name}: {what}; a lower training.learning_rate or a training.gradient_clip may help. "
            f"The last good checkpoint, if any, is in {resume}"
        ),
    )


def _end(fabric: Fabric, error: Exception) -> NoReturn:
    """End all processes alike: the first one tells, and is not killed by Fabric because another one has failed."""
    if fabric.is_global_zero:
        raise error
    raise SystemExit(0)


def _timed(batches: Iterator, count: int) -> Iterator[tuple[Any, float]]:
    """`count` batches, each with the seconds that it was waited for."""
    for _ in range(count):
        begun = time.perf_counter()
        batch = next(batches)
        yield batch, time.perf_counter() - begun


def _crosses_quarter(done: int, steps: int, log_every: int) -> bool:
    before = max(0, done - log_every)
    return done < steps and math.floor(4 * done / steps) > math.floor(4 * before / steps)
