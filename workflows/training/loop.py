"""The training loop, from a run of the grid to its weights.

Initial weights, subset, batches, augmentation, noise and random layers are functions of the run's seed and of the step. So a
run repeats bit for bit, even if it was killed and resumed.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from baselines.own import is_own
from workflows import models, provenance
from workflows.config.runs import Run
from workflows.data.batches import Batches
from workflows.data.degradations import make_pairs
from workflows.data.manifest import read_table
from workflows.data.schedule import LAYERS, integer_seed
from workflows.peak_rates import peak_of
from workflows.training import accumulation, checkpoint, reuse
from workflows.training.devices import Unwrapped, compiled, start
from workflows.training.history import History, Window, training_flops
from workflows.training.loggers import Loggers
from workflows.training.objective import count_negatives
from workflows.training.optimization import build_average, build_optimizer, build_scheduler
from workflows.training.processes import Processes
from workflows.training.results import write_results
from workflows.training.state import State
from workflows.training.validation import Learning

EXIT_INTERRUPTED = 75
"""Exit status of a run that saved a checkpoint and stopped on a signal: try again (EX_TEMPFAIL)."""


class TrainingError(RuntimeError):
    """A run that cannot go on; the message says why."""


class Interrupted(Exception):
    """The run was stopped by a signal and has saved its state."""


def train(
    run: Run,
    root: Path,
    fraction_csv: Path,
    validation_csv: Path,
    output: Path,
    resume: Path,
    init: Path | None = None,
    trial: bool = False,
) -> None:
    """Train one run of the grid; writes `model.safetensors`, `train.csv` and `provenance.json` into `output`.

    On several devices every process calls this. The first one writes and prints, and alone raises the errors that all
    processes have in common.

    Args:
        run: the run.
        root: folder to which the paths in the two tables are relative.
        fraction_csv: the run's training images.
        validation_csv: held-out images, only for the learning curve.
        output: folder for the results.
        resume: folder for checkpoints; an interrupted run continues from there. When the run is complete, it holds a second
            link to the results, see `reuse.keep`.
        init: a `model.safetensors` whose weights the run starts from; it may have more tasks. None: fresh weights.
        trial: whether the run tries a learning rate. That it diverges is then its result: it ends at the next row of
            train.csv, whose validation_l1 is NaN.

    Raises:
        TrainingError: when the loss or a weight is not finite, and the run is no trial; or when the tables are those of
            another kind of source.
        CheckpointError: when a checkpoint cannot be written, or an existing one cannot be used.
        LostProcess: when another process of the run has ended.
        Interrupted: after a signal, once the state is saved.
    """
    history = History()
    fabric, precision = start(run.training, run.tasks, is_own(run.variant))
    with Processes(fabric) as processes:
        recipe = run.training
        images, held_out = read_table(fraction_csv), read_table(validation_csv)
        if ("input" in images) != (paired := run.data.source == "paired_folders"):
            listed = "clean images" if paired else "pairs"
            raise TrainingError(f"{run.name}: {fraction_csv} lists {listed}, but its data.source is {run.data.source}")
        steps = recipe.budget.resolve_steps(len(images), recipe.batch_size, run.data.epoch_crops)

        # Counted first: it draws from the generator that is seeded next, and a failure costs no training.
        macs = models.macs_per_output_pixel(run.variant, run.tasks, **run.kwargs)
        torch.manual_seed(run.seed)  # for the network's initial weights
        network = models.build(run.variant, run.tasks, **run.kwargs)
        initial = None
        if init is not None:
            models.initialise(network, init)
            initial = models.origin(init)
        if recipe.gradient_checkpointing:
            network.gradient_checkpointing = True
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)
        network = network.to(fabric.device, torch.float64 if precision.precision == "64-true" else torch.float32)
        trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = build_optimizer(trainable, recipe)
        scheduler = build_scheduler(optimizer, recipe, steps)
        average = build_average(network, recipe)
        scored = network if average is None else average.module
        model, optimizer = fabric.setup(compiled(network, run), optimizer)

        micro_batches = accumulation.divide(run)
        batches = Batches.of_run(
            run,
            images,
            root,
            workers=run.data.workers,
            rows=processes.rows(recipe.batch_size),
            pin_memory=fabric.device.type == "cuda",
        )
        learning = Learning(run, images, held_out, root, fabric.device) if fabric.is_global_zero else None

        digest = run.digest if initial is None else f"{run.digest}-{initial['weights_sha256'][:16]}"
        # The data may have moved, but must be the same.
        tables = "".join(provenance.sha256(path)[:16] for path in (fraction_csv, validation_csv))
        state = State(f"{digest}-{tables}", precision.precision, network, optimizer, average, history)
        if state.load(resume):
            fabric.print(f"{run.name}: resumed after step {history.step:,}", flush=True)
        if not processes.same(history.step):
            raise checkpoint.CheckpointError(
                f"the processes of {run.name} found different checkpoints: is {resume} on a disk that all nodes share?"
            )
        if history.note_division(recipe):
            fabric.print(
                f"{run.name}: batches are now split differently, so results differ by rounding; "
                "by more if the network has random layers or BatchNorm",
                flush=True,
            )
        if history.note_code(models.code(reuse.CODE, run.variant, run.kwargs)):
            fabric.print(
                f"{run.name}: earlier steps were made by other code or packages, so no single version repeats this run; "
                "provenance.json names all under training.made_by",
                flush=True,
            )

        def save() -> bool:
            """Weights that are not finite do not replace a good checkpoint; False if that left a trial's last one in place."""
            if broken := _not_finite(network):
                if trial:
                    return False
                _fail(fabric, run, f"{broken} is not finite after step {history.step:,}", resume)
            cpu_seconds = processes.total(provenance.cpu_seconds())
            if fabric.is_global_zero:
                state.save(resume, cpu_seconds)
            return True

        peak = peak_of(fabric.device, precision.precision, recipe.matmul_precision)
        flops = training_flops(macs, recipe.patch_size)
        window = Window(fabric.device, None if peak is None else peak * processes.count)
        loggers = Loggers(recipe.loggers if fabric.is_global_zero else (), run, output)
        saved_at = time.perf_counter()
        bar = tqdm(
            total=steps,
            initial=history.step,
            desc=run.name,
            unit="step",
            mininterval=1,
            dynamic_ncols=True,
            disable=not fabric.is_global_zero or None,  # None: only on a terminal
        )
        diverged = False
        stream = batches.iterate(history.step)
        for batch, waited in _timed(stream, steps - history.step):
            step = batch.step + 1
            measured = step % recipe.validate_every == 0 or step in (1, steps)
            logged = measured or step % recipe.log_every == 0
            begun = time.perf_counter()
            x, y = make_pairs(batch, recipe.patch_size, run.seed, fabric.device)
            if fabric.device.type == "cpu":  # a GPU makes them later: here the host only waits for its earlier work
                waited += time.perf_counter() - begun
            image_ids = batch.image_ids.to(fabric.device)
            window.add(recipe.batch_size, recipe.batch_size * flops[batch.task], waited)

            scheduler.step_update(batch.step)
            optimizer.zero_grad()
            # Random layers (dropout, stochastic depth) draw from the global generator, which no checkpoint holds.
            torch.manual_seed(integer_seed(run.seed, LAYERS, batch.step, processes.rank))
            contrastive = accumulation.ContrastiveGradient(trainable) if logged else None
            loss = accumulation.backward(fabric, model, x, y, batch.task, image_ids, run, micro_batches, contrastive)
            # A non-finite norm yields non-finite weights, caught below; checking here would force a device sync.
            largest = math.inf if recipe.gradient_clip is None else recipe.gradient_clip
            norm = fabric.clip_gradients(model, optimizer, max_norm=largest, error_if_nonfinite=False)
            history.gradient_norms.append(norm.detach())
            optimizer.step()
            if average is not None:
                average.update(network, step)
            history.step = step
            history.patches[batch.task] += recipe.batch_size
            if run.group_size is not None:
                history.negatives += count_negatives(batches.schedule.contents(batch.step).images, run.group_size)
            bar.update()

            save_now = time.perf_counter() - saved_at > recipe.checkpoint_minutes * 60
            save_now |= recipe.checkpoint_steps is not None and step % recipe.checkpoint_steps == 0
            save_now, stop_signal = processes.agree(save_now)
            if (logged or save_now or stop_signal) and not math.isfinite(total := _mean(fabric, loss.total)):
                if not trial:
                    _fail(fabric, run, f"the loss at step {step:,} is {total}", resume)
                diverged = logged
            if logged:
                row = {
                    "step": step,
                    "patches": step * recipe.batch_size,
                    "loss": total,
                    "l1": _mean(fabric, loss.l1),
                    "contrastive": None if loss.contrastive is None else _mean(fabric, loss.contrastive),
                    "contrastive_share": contrastive.share(fabric),
                    "learning_rate": optimizer.param_groups[0]["lr"],
                    **history.gradient_columns(recipe.gradient_clip),
                    **window.columns(),
                    "seconds": round(history.wall_seconds, 3),
                }
                if learning is not None:
                    fill = measured or diverged
                    row |= learning.measure(Unwrapped(fabric, scored)) if fill else dict.fromkeys(learning.columns)
                    network.train()
                before = history.log[-1]["step"] if history.log else 0
                history.log.append(row)
                loggers.log(row, step)
                window.restart()
                bar.set_postfix_str(f"loss {row['loss']:.2f}, {row['patches_per_second']:.0f} patches/s")
                if diverged:
                    break
                if bar.disable and _crosses_tenth(before, step, steps):
                    seconds_left = (steps - step) * recipe.batch_size / row["patches_per_second"]
                    fabric.print(
                        f"{run.name}: {step / steps:4.0%}  L1 {row['l1']:5.2f}  "
                        f"{row['patches_per_second']:.0f} patches/s  {seconds_left:.0f} s left",
                        flush=True,
                    )
            if (save_now or stop_signal) and step < steps:
                if stop_signal:
                    stream.close()  # so that its workers' time is included
                what = f"saved after step {step:,}" if save() else f"diverged by step {step:,}"
                saved_at = time.perf_counter()
                if stop_signal:
                    loggers.close()
                    _end(
                        fabric,
                        Interrupted(f"{run.name}: {what} on {stop_signal}; run again to continue"),
                    )
        bar.close()
        stream.close()
        loggers.close()

        if broken := _not_finite(scored):
            if not trial:
                _fail(fabric, run, f"{broken} is not finite after the last step", resume)
            diverged = True
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
            learning=learning,
            initial=initial,
            diverged=diverged,
        )
        reuse.keep(output, resume)
        if diverged:
            print(f"{run.name}: diverged; ended after step {history.step:,} of {steps:,}", flush=True)
            return
        print(
            f"{run.name}: {steps:,} steps, {history.patches.total():,} patches of {len(images):,} images in "
            f"{history.wall_seconds:.0f} s; L1 {history.log[-1]['l1']:.2f}, "
            f"held-out {history.log[-1]['validation_psnr']:.2f} dB",
            flush=True,
        )


def _mean(fabric: Fabric, value: Tensor) -> float:
    """The mean over the processes."""
    return fabric.all_reduce(value.detach(), reduce_op="mean").item()


def _not_finite(network: nn.Module) -> str | None:
    """The name of a weight that holds NaN or infinity, if any does."""
    tensors = network.state_dict()
    finite = torch.stack(
        [tensor.isfinite().all() for tensor in tensors.values()]
    )  # one read, so that the device is waited for once
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
    """Stop every process if one fails: the first one raises, and Fabric does not kill it because of another's failure."""
    if fabric.is_global_zero:
        raise error
    raise SystemExit(0)


def _timed(batches: Iterator, count: int) -> Iterator[tuple[Any, float]]:
    """`count` batches, each with the seconds spent waiting for it."""
    for _ in range(count):
        begun = time.perf_counter()
        batch = next(batches)
        yield batch, time.perf_counter() - begun


def _crosses_tenth(before: int, step: int, steps: int) -> bool:
    return step < steps and math.floor(10 * step / steps) > math.floor(10 * before / steps)
