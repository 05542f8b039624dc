"""A run repeats bit for bit, survives interruption, and says what it did."""

import argparse
import errno
import functools
import json
import math
import os
import re
import resource
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from timm.utils import ModelEmaV3

from tests.helpers import assert_names, make_run, raises_naming
from workflows import models, provenance
from workflows.config.schema import Data
from workflows.training import __main__, accumulation, checkpoint, loop, reuse
from workflows.training.devices import choose_precision
from workflows.training.history import COLUMNS


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def checkpointed(folder):
    """Steps of the checkpoints in `folder`/resume."""
    return sorted(int(path.name.split("-")[1]) for path in (folder / "resume").iterdir())


@pytest.mark.parametrize("model", ["ipt", "edsr"])
def test_same_seed_gives_the_same_bits_twice(model, train, trained):
    run = make_run(model)
    assert weights(train(run)) == weights(trained(run))


def test_another_seed_gives_other_weights(train, trained):
    run = make_run()
    assert weights(train(run.model_copy(update={"seed": 1}))) != weights(trained(run))


def test_training_lowers_the_loss(train):
    run = make_run("edsr", budget={"steps": 100}, learning_rate=1e-2, log_every=10, validate_every=100)
    log = pd.read_csv(train(run) / "train.csv")
    assert log.l1.iloc[-3:].mean() < 0.5 * log.l1.iloc[0]


def test_contrastive_twin_starts_equal_and_ends_differently(trained):
    plain, twin = trained(make_run()), trained(make_run(contrastive=True))
    logs = [pd.read_csv(folder / "train.csv") for folder in (plain, twin)]
    assert logs[0].l1[0] == logs[1].l1[0], "same initial weights, same first batch"
    assert logs[0].contrastive.isna().all()
    assert logs[1].contrastive.notna().all()
    assert logs[1].contrastive_share.between(0, 1, inclusive="neither").all()
    np.testing.assert_allclose(logs[1].loss, logs[1].l1 + 0.1 * logs[1].contrastive, rtol=1e-6)
    assert weights(plain) != weights(twin)


def test_contrastive_loss_trains_and_logs_its_share_in_mixed_precision(train):
    log = pd.read_csv(train(make_run(contrastive=True, precision="bf16-mixed")) / "train.csv")
    assert log.contrastive_share.between(0, 1, inclusive="neither").all()


def test_contrastive_share_is_the_share_of_gradient_norms(images):
    from workflows.training.accumulation import ContrastiveGradient
    from workflows.training.devices import start
    from workflows.training.objective import compute_loss

    run = make_run(contrastive=True)
    torch.manual_seed(0)
    model = models.build(run.variant, run.tasks, **run.kwargs)
    parameters = [p for p in model.parameters() if p.requires_grad]
    x, y, ids = torch.rand(3, 3, 6, 6), torch.rand(3, 3, 12, 12), torch.arange(3)

    def norm(term):
        model.zero_grad()
        term(compute_loss(model, x, y, "sr2", ids, run.contrastive)).backward()
        return math.sqrt(sum(p.grad.square().sum().item() for p in parameters if p.grad is not None))

    l1, contrastive = norm(lambda loss: loss.l1), norm(lambda loss: 0.1 * loss.contrastive)
    gradient = ContrastiveGradient(parameters)
    gradient.add(compute_loss(model, x, y, "sr2", ids, run.contrastive))
    fabric, _ = start(run.training, run.tasks)
    assert gradient.share(fabric) == pytest.approx(contrastive / (l1 + contrastive), rel=1e-5)


def test_each_task_of_a_multi_task_run_is_trained(train):
    folder = train(make_run(tasks=("sr2", "dn30", "dr"), budget={"steps": 12}))
    record = json.loads((folder / "provenance.json").read_text())
    by_task = record["training"]["patches_by_task"]
    assert set(by_task) == {"sr2", "dn30", "dr"}
    assert sum(by_task.values()) == record["training"]["patches"] == 12 * 4


def test_a_run_that_other_code_continued_names_both_and_is_not_reused(train, images, tmp_path, monkeypatch, capsys):
    run, tables = make_run(), (images.fraction, images.validation)
    folder, resume = tmp_path / "out", tmp_path / "resume"
    with monkeypatch.context() as patched:
        patched.setattr(models, "code", lambda *_: "earlier code")
        patched.setattr(loop, "compiled", lambda *_: os.kill(os.getpid(), signal.SIGTERM) or _[0])
        with pytest.raises(loop.Interrupted):
            train(run)
    train(run)
    assert "training.made_by" in capsys.readouterr().out
    made_by = json.loads((folder / "provenance.json").read_text())["training"]["made_by"]
    assert [entry["code"] for entry in made_by] == ["earlier code", models.code(reuse.CODE, run.variant, run.kwargs)]
    assert made_by[1]["versions"] == provenance.versions()
    assert reuse.find(run, tables, None, tmp_path / "gone", resume=resume) == resume / reuse.KEPT, "it is the run's own"
    shutil.copytree(folder, tmp_path / "results/first/runs/ipt")
    assert reuse.find(run, tables, tmp_path / "results", tmp_path / "other") is None
    assert_names(capsys.readouterr().out, tmp_path / "results/first/runs/ipt", "code")


def test_tables_of_another_kind_of_source_are_refused(train):
    run = make_run(tasks=("dr",))
    pairs = {"source": "paired_folders", "root": "x", "inputs": "a", "targets": "b"}
    run = run.model_copy(update={"data": Data(**pairs)})
    with raises_naming(loop.TrainingError, run.name, "fraction.csv", "paired_folders"):
        train(run)


@pytest.mark.parametrize(
    ("number", "model"),
    [(signal.SIGTERM, "ipt"), (signal.SIGINT, "ipt"), (signal.SIGUSR1, "ipt"), (signal.SIGTERM, "swinir")],
)
def test_run_that_is_stopped_saves_and_ends_in_the_same_bits(number, model, train, trained, monkeypatch):
    run = make_run(model, contrastive=model == "ipt" or None)  # SwinIR leaves out layers at random
    whole = trained(run)
    real, calls = accumulation.compute_loss, []

    def stops_in_its_third_step(*arguments):
        calls.append(None)
        if len(calls) == 3:
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(accumulation, "compute_loss", stops_in_its_third_step)
    with raises_naming(loop.Interrupted, "step 3", number.name):
        train(run, "cut")
    folder = train(run, "cut")
    assert len(calls) == 6
    assert weights(folder) == weights(whole)
    logs = [pd.read_csv(f / "train.csv")[["step", "loss", "validation_l1"]] for f in (whole, folder)]
    pd.testing.assert_frame_equal(*logs)
    assert not list((folder.parent / "resume").glob("step-*")), "a finished run leaves no checkpoints"


def test_checkpoint_of_another_config_is_refused(train, monkeypatch, tmp_path):
    run = make_run()
    checkpoint.save(tmp_path / "resume", 2, {"digest": "another"})
    with raises_naming(checkpoint.CheckpointError, tmp_path / "resume", "another"):
        train(run)


def test_loss_that_is_not_finite_stops_the_run_and_leaves_no_result(train, tmp_path):
    with pytest.raises(loop.TrainingError, match=r"^ipt-100-seed-0: .*\bstep \d+ .*\b(nan|inf)\b"):
        train(make_run(learning_rate=1e9, budget={"steps": 40}))
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_layer_without_a_deterministic_kernel_is_reported_in_a_line(images, tmp_path, capsys):
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, scale):\n"
        "        super().__init__()\n"
        "        self.up = nn.Sequential(nn.Conv2d(3, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))\n"
        "        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)\n"
        "    def forward(self, x):\n"
        "        return self.up(self.unpool(*self.pool(x)))\n"
    )
    run = make_run("edsr").model_copy(update={"variant": f"{net}:Net", "kwargs": {}})
    folders = {"root": images.root, "out": tmp_path / "out", "resume": tmp_path / "resume", "init": None, "reuse": None}
    arguments = argparse.Namespace(fraction=images.fraction, validation=images.validation, **folders)
    assert __main__._train(run, arguments, trial=False) > 0
    (line,) = capsys.readouterr().err.splitlines()
    assert_names(line, run.name, f"{net}:Net", "max_unpooling2d_forward_out", "training.accelerator: cpu")


def test_trial_that_diverges_ends_with_its_log(images, tmp_path, capsys):
    run = make_run(learning_rate=1e9, budget={"steps": 40}, log_every=10, checkpoint_steps=3)
    out, resume = tmp_path / "out", tmp_path / "resume"
    loop.train(run, images.root, images.fraction, images.validation, out, resume, trial=True)
    log = pd.read_csv(out / "train.csv")
    assert math.isnan(log["loss"].iloc[-1])
    assert math.isnan(log["validation_l1"].iloc[-1])
    assert log["step"].iloc[-1] < 40
    record = json.loads((out / "provenance.json").read_text())
    assert record["training"]["diverged"]
    assert record["training"]["steps"] == log["step"].iloc[-1]
    # Another experiment's run of the same config must not start from it.
    tables = (images.fraction, images.validation)
    assert reuse.find(run, tables, None, tmp_path / "other", resume=resume) is None
    assert_names(capsys.readouterr().out, run.name, resume / "finished")


def test_provenance_lets_a_number_be_traced(train, images):
    run = make_run("edsr")
    folder = train(run)
    record = json.loads((folder / "provenance.json").read_text())
    assert record["macs_per_output_pixel"]["sr2"] > 0
    assert record["weights_sha256"] == provenance.sha256(folder / "model.safetensors")
    assert record["data"] == {path.name: provenance.sha256(path) for path in (images.fraction, images.validation)}
    assert record["config"] == run.model_dump(mode="json")
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record["threads"] == run.training.threads == torch.get_num_threads()
    assert {"processor", "cores", "memory_gb", "host"} <= set(record["hardware"])
    assert {"commit", "dirty"} <= set(record)
    assert record["training"]["images"] == 6
    assert record["training"]["precision"] == choose_precision("auto", "cpu").precision
    assert len(record["training"]["precision_reason"]) > 20
    assert record["training"]["negatives"] is record["training"]["matched"] is None
    assert re.fullmatch(r".+ \(family \d+, model \d+, stepping \d+\)", record["hardware"]["processor"])
    assert record["hardware"]["onednn"] in "".join(record["hardware"]["torch_config"])
    _, header = models.load(folder / "model.safetensors")
    assert (header["run"], header["seed"], header["digest"]) == (run.name, 0, run.digest)


@pytest.mark.parametrize(("fixed", "augment"), [(None, True), (3, False)])
def test_provenance_counts_what_there_is_to_learn_from(fixed, augment, train):
    run = make_run("edsr", augment=augment)
    run = run.model_copy(update={"data": run.data.model_copy(update={"fixed_crops": fixed})})
    record = json.loads((train(run) / "provenance.json").read_text())
    facts = {key: record["training"][key] for key in ("distinct_patches", "patch_epochs", "target_values")}
    if fixed is None:
        assert facts == dict.fromkeys(facts)
    else:  # six images, three crops each; six steps of four patches; 12 × 12 targets
        assert facts == {"distinct_patches": 18, "patch_epochs": 24 / 18, "target_values": 18 * 3 * 12**2}
        assert record["training"]["target_values_per_parameter"] == 18 * 3 * 12**2 / record["parameters"]


def test_negatives_are_rows_of_other_images_and_not_all_other_rows(train):
    """Six images, batches of nine rows: three images have two rows each, three have one."""
    run = make_run(contrastive=True, batch_size=9, budget={"steps": 2})
    record = json.loads((train(run) / "provenance.json").read_text())
    assert record["training"]["negatives"] == pytest.approx((6 * 7 + 3 * 8) / 9)
    grouped = make_run(contrastive={"group_size": 3}, batch_size=9, budget={"steps": 2})
    assert json.loads((train(grouped, "grouped") / "provenance.json").read_text())["training"]["negatives"] <= 2


def test_arguments_that_match_chose_are_recorded(train):
    run = make_run("edsr").model_copy(update={"kwargs": {"match": {"params": 20_000}}})
    folder = train(run)
    network, _ = models.load(folder / "model.safetensors")
    matched = json.loads((folder / "provenance.json").read_text())["training"]["matched"]
    assert matched == {key: network.config[key] for key in ("num_feat", "num_block")}


def test_warmed_up_average_is_near_the_weights_after_a_short_run(train):
    """0.999 over 100 steps: an average that starts at the initial weights is still mostly those."""
    recipe = {"budget": {"steps": 100}, "learning_rate": 1e-2, "log_every": 100, "validate_every": 100}
    raw, averaged = (
        pd.read_csv(train(make_run("edsr", **recipe, **ema), name) / "train.csv")
        for name, ema in (("raw", {}), ("averaged", {"ema": 0.999}))
    )
    assert averaged.validation_l1.iloc[-1] < 1.05 * raw.validation_l1.iloc[-1]


def test_log_has_the_curve_and_the_pace(trained):
    log = pd.read_csv(trained(make_run()) / "train.csv")
    assert log.columns.tolist() == list(COLUMNS)
    assert log.step.tolist() == [1, 2, 3, 4, 6], "every 2 steps, and every 3 where held-out images are measured"
    assert log.patches.tolist() == [4, 8, 12, 16, 24]
    assert log.validation_psnr.notna().tolist() == [True, False, True, False, True]
    assert (log.patches_per_second > 0).all()
    assert log.data_wait.between(0, 1).all()
    assert (log.memory_mb > 50).all()
    assert log.mfu.isna().all(), "no card, no peak"
    assert (log.gradient_norm > 0).all()
    assert log.clipped_share.isna().all(), "nothing is clipped"


def test_log_has_the_share_of_clipped_steps_and_the_norm_before_clipping(train, monkeypatch):
    """Over the steps since the last row, whether or not an interruption lies between them."""
    free = pd.read_csv(train(make_run(log_every=1, budget={"steps": 4}, learning_rate=1e-30), "free") / "train.csv")
    first, second, third, fourth = free.gradient_norm
    largest = (min(third, fourth) + max(third, fourth)) / 2
    recipe = {"log_every": 2, "validate_every": 4, "learning_rate": 1e-30}
    run = make_run(budget={"steps": 4}, gradient_clip=largest, **recipe)
    train_to_step_3(train, run, monkeypatch)
    log = pd.read_csv(train(run) / "train.csv")
    assert log.step.tolist() == [1, 2, 4]
    np.testing.assert_allclose(log.gradient_norm, [first, second, (third + fourth) / 2], rtol=1e-6)
    assert log.clipped_share.tolist() == [float(first > largest), float(second > largest), 0.5]


def test_processor_time_counts_what_went_before_an_interruption(train, monkeypatch):
    spent = iter([100.0, 5.0])  # of the process that is stopped, and of the one that goes on
    monkeypatch.setattr(provenance, "cpu_seconds", lambda: next(spent))
    train_to_step_3(train, make_run(), monkeypatch)
    record = json.loads((train(make_run()) / "provenance.json").read_text())
    assert record["training"]["cpu_seconds"] == 105


def test_run_starts_from_given_weights_of_a_network_with_more_tasks(train, tmp_path):
    many = train(make_run(tasks=("sr2", "dn30"), budget={"steps": 3}), "many") / "model.safetensors"
    run = make_run(learning_rate=1e-30, budget={"steps": 1})
    folder = train(run, "one", init=many)
    before, _ = models.load(many)
    after, header = models.load(folder / "model.safetensors")
    kept = before.state_dict()
    for name, tensor in after.state_dict().items():
        torch.testing.assert_close(tensor, kept[name], rtol=0, atol=1e-20)
    record = json.loads((folder / "provenance.json").read_text())
    assert record["init"] == models.origin(many)
    assert record["init"]["sha256"] == provenance.sha256(many)
    assert record["digest"] == header["digest"] != run.digest


def test_weights_of_another_network_are_refused_by_name(train):
    edsr = train(make_run("edsr"), "edsr") / "model.safetensors"
    with raises_naming(models.ModelFileError, edsr, "ipt_tiny"):
        train(make_run(), init=edsr)


def test_average_of_the_weights_is_what_is_scored_and_survives_an_interruption(train, monkeypatch):
    run = make_run(ema=0.5, budget={"steps": 3})
    seen = []
    real = ModelEmaV3.update

    def update(self, model, step=None):
        seen.append([p.detach().clone() for p in model.parameters()])
        real(self, model, step)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ModelEmaV3, "update", update)
    with pytest.raises(loop.Interrupted):
        train(run)
    folder = train(run)
    averaged, _ = models.load(folder / "model.safetensors")
    for first, second, third, found in zip(*seen, averaged.parameters(), strict=True):
        # Decay 0, 1/11 and 2/12: the warm-up is below 0.5 here.
        torch.testing.assert_close(found, (first / 11 + second * 10 / 11) / 6 + third * 5 / 6)
    record = json.loads((folder / "provenance.json").read_text())
    assert record["training"]["weights"] == "average of decay 0.5, last step"


def test_recomputing_activations_changes_no_bit(train, trained):
    recomputed = train(make_run(contrastive=True, gradient_checkpointing=True))
    assert weights(recomputed) == weights(trained(make_run(contrastive=True)))


def test_weights_that_are_not_finite_never_take_a_good_checkpoints_place(train, monkeypatch, tmp_path):
    """The loss of the step that breaks the weights is still finite."""
    real = torch.optim.Adam.step

    def breaks_in_its_third_step(self, *arguments):
        real(self, *arguments)
        if next(iter(self.state.values()))["step"] == 3:
            self.param_groups[0]["params"][0].data.view(-1)[0] = float("nan")

    monkeypatch.setattr(torch.optim.Adam, "step", breaks_in_its_third_step)
    with raises_naming(loop.TrainingError, "ipt-100-seed-0", "pos_embed", "step 3"):
        train(make_run(checkpoint_steps=1))
    assert checkpointed(tmp_path) == [1, 2]


def test_full_disk_ends_the_run_with_the_last_good_checkpoint_intact(train, trained, monkeypatch, tmp_path):
    run = make_run(checkpoint_steps=2)
    whole = trained(make_run())
    # A real short write: files may not grow beyond half a checkpoint from the second one on.
    real, limits = checkpoint.save, resource.getrlimit(resource.RLIMIT_FSIZE)

    def save(folder, step, state):
        if step == 4:
            size = next(folder.glob("step-000000002-*.pt")).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
        return real(folder, step, state)

    monkeypatch.setattr(checkpoint, "save", save)
    try:
        with raises_naming(checkpoint.CheckpointError, tmp_path / "resume", "step 4", os.strerror(errno.EFBIG)):
            train(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpointed(tmp_path) == [2]
    monkeypatch.setattr(checkpoint, "save", real)
    assert weights(train(run)) == weights(whole)


def test_run_may_go_on_with_another_division_and_says_so(train, monkeypatch, capsys):
    said = {}
    for size in (None, 2):
        train_to_step_3(train, make_run(), monkeypatch)
        folder = train(make_run(micro_batch_size=size))
        said[size] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ipt-100-seed-0: ")]
    assert len(said[2]) == len(said[None]) + 1, "one line more than where batches are divided as before"
    record = json.loads((folder / "provenance.json").read_text())
    assert [way["micro_batch_size"] for way in record["training"]["computed_on"]] == [None, 2]


def test_compiled_network_trains_to_the_same_weights_but_for_rounding(train, monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))  # no compiler needed
    plain, compiled = (train(make_run(compile=on, precision="64-true"), str(on)) for on in (False, True))
    a, b = (models.load(folder / "model.safetensors")[0].state_dict() for folder in (plain, compiled))
    for name, tensor in a.items():
        torch.testing.assert_close(b[name], tensor, rtol=0, atol=1e-6)


def train_to_step_3(train, run, monkeypatch):
    with monkeypatch.context() as patch:
        real, calls = accumulation.compute_loss, []

        def stops(*arguments):
            calls.append(None)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(*arguments)

        patch.setattr(accumulation, "compute_loss", stops)
        with pytest.raises(loop.Interrupted):
            train(run)
