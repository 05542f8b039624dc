"""The grid's commands without Snakemake: in pieces that resume."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml

from tests.helpers import assert_names
from workflows.config import grid
from workflows.planning import pieces

CONFIG = {
    "name": "tiny",
    "seeds": [0],
    "fractions": [0.5, 1.0],
    "data": {"count": 10, "size": 64, "validation": 2},
    "models": [
        {"name": "ipt", "variant": "ipt_tiny", "kwargs": {"num_feat": 2, "num_heads": 2, "depth": 1, "patch_size": 12}}
    ],
    "training": {
        "budget": {"steps": 2},
        "batch_size": 2,
        "patch_size": 12,
        "accelerator": "cpu",
        "precision": "32-true",
    },
    "presets": {"cpu": {}, "long": {"training": {"budget": {"steps": 100000}, "checkpoint_steps": 20}}},
    "preset": "cpu",
}


RUN = ["tiny.yaml", "--run", "--jobs", "2", "--minutes", "60"]
PACK = ["--pack", "packed", "--archive-mb", "0.01"]


def start_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(pieces.__file__).rpartition("/workflows/")[0])


@pytest.fixture
def config(tmp_path, monkeypatch):
    start_in(tmp_path, monkeypatch)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path / "tiny.yaml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder in which the grid was trained and packed by one call."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.MonkeyPatch.context() as monkeypatch:
        start_in(folder, monkeypatch)
        assert pieces.main([*RUN, *PACK]) == 0
    return folder


@pytest.fixture
def again(config, trained) -> Path:
    """The config, in a copy of the folder in which it was trained."""
    shutil.copytree(trained, config.parent, dirs_exist_ok=True)
    return config


def lose(run: str) -> None:
    """Remove what a training wrote, with its second copy."""
    for folder in ("runs", "resume"):
        shutil.rmtree(Path("results/tiny-cpu", folder, run))


def test_commands_are_the_grids_own_in_order(config, capsys):
    assert pieces.main([str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    stages = [line.split("-m workflows.")[-1].split()[:2] for line in lines]
    data = [["data", stage] for stage in ("synthesize", "manifest", *["fraction"] * 2)]
    assert stages == [*data, *[["training", "--experiment"]] * 2]
    assert [line.split("--run ")[1].split()[0] for line in lines[-2:]] == ["ipt-50-seed-0", "ipt-100-seed-0"]


def test_printed_commands_train_the_config_as_it_is(config, capsys):
    written = config.parent / "results/tiny-cpu/logs/pieces/experiment.yaml"
    written.parent.mkdir(parents=True)
    written.write_text("of an earlier config")
    assert pieces.main([str(config)]) == 0
    assert f"--experiment {written.relative_to(config.parent)} " in capsys.readouterr().out
    assert grid.read(written) == grid.read(config)


def test_printing_leaves_alone_what_jobs_of_a_running_grid_read(config, capsys):
    followed = config.parent / "results/tiny-cpu/experiment.yaml"
    followed.parent.mkdir(parents=True)
    followed.write_text("of the running grid")
    assert pieces.main([str(config)]) == 0
    assert followed.read_text() == "of the running grid"
    assert_names(capsys.readouterr().err, "note", followed.relative_to(config.parent))
    followed.unlink()
    assert pieces.main([str(config)]) == 0
    assert pieces.main([str(config)]) == 0
    assert capsys.readouterr().err == ""
    assert grid.read(followed) == grid.read(config)


@pytest.mark.parametrize("there", [False, True])
def test_a_job_that_may_use_a_gpu_claims_one_where_there_is_one(config, monkeypatch, there):
    monkeypatch.setattr(pieces, "_finished", lambda *_: True)
    monkeypatch.setattr(pieces, "_any_gpu", lambda: there)
    automatic = {"training": CONFIG["training"] | {"accelerator": "auto"}, "evaluation": {"sets": ["photos@1"]}}
    config.write_text(yaml.safe_dump(CONFIG | automatic))
    experiment = grid.read(config)
    trained = pieces.command(experiment, next(iter(experiment.runs().values())))
    for words in (trained, *pieces.scorings(experiment).values()):
        assert words[words.index("--gpus") + 1] == str(int(there))


def test_a_training_on_several_nodes_is_started_as_such_and_refused_outside_slurm(config, monkeypatch, capsys):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    config.write_text(yaml.safe_dump(CONFIG | {"training": CONFIG["training"] | {"num_nodes": 2}}))
    experiment = grid.read(config)
    words = pieces.command(experiment, next(iter(experiment.runs().values())))
    refused = subprocess.run(words, capture_output=True, text=True)
    assert refused.returncode
    assert_names(refused.stderr, "2 nodes", "Slurm")
    assert pieces.main([str(config), "--run"]) == 2
    assert_names(capsys.readouterr().err, "training.num_nodes", "Slurm")
    assert not (experiment.folder / "data").exists()


def test_a_grid_is_trained_once_and_packed_in_parts(again, capsys, tmp_path):
    archives = sorted((tmp_path / "packed").glob("*.tar"))
    assert len(archives) == 3, "the tables of images, and two runs that are larger than asked for, and so alone"
    with tarfile.open(archives[0]) as archive:
        assert {"tiny-cpu/data/manifest.csv", "tiny-cpu/data/fraction-50-seed-0.csv"} <= set(archive.getnames())
    with tarfile.open(archives[1]) as archive:
        assert {Path(name).name for name in archive.getnames()} == {
            "model.safetensors",
            "train.csv",
            "provenance.json",
        }
    weights = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").glob("*/runs/*/model.safetensors")}
    assert len(weights) == 2
    assert pieces.main([*RUN, *PACK]) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 trainings are finished" in printed
    assert "exit status" not in printed, "nothing is trained again"
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert sorted((tmp_path / "packed").glob("*.tar")) == archives


def test_trained_networks_are_scored_and_travel_without_weights(again, capsys, tmp_path):
    lose("ipt-100-seed-0")  # it is scored once it is trained again, the other one as it is
    photo = tmp_path / "photos" / "photo.png"
    photo.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert cv2.imwrite(str(photo), pixels)
    scored = {"evaluation": {"sets": [f"mine={photo.parent}"], "accelerator": "cpu"}}
    again.write_text(yaml.safe_dump(CONFIG | scored))
    call = [*RUN, "--score"]
    assert pieces.main([*call, "--pack", "without weights", "--no-weights"]) == 0
    out = tmp_path / "results/tiny-cpu/runs"
    tables = {str(path.relative_to(out)) for path in out.rglob("metrics*.csv")}
    assert tables == {f"ipt-{f}-seed-0/metrics{w}.csv" for f in (50, 100) for w in ("", "-averaged")}
    averaged = (out / "ipt-50-seed-0/metrics-averaged.csv").read_text().splitlines()
    assert averaged[1].startswith("tiny-cpu,ipt,0.5,0,sr2,mine,photo,")
    (archive,) = (tmp_path / "without weights").glob("*.tar")
    with tarfile.open(archive) as opened:
        names = {Path(name).name for name in opened.getnames()}
    assert "metrics-averaged.json" in names
    assert "model.safetensors" not in names
    capsys.readouterr()
    assert pieces.main(call) == 0
    assert "exit status" not in capsys.readouterr().out, "nothing is scored again"


def test_edited_images_are_listed_again_and_their_trainings_repeated(again, capsys, tmp_path):
    folder, fractions = tmp_path / "results/tiny-cpu", ["fraction-50-seed-0.csv", "fraction-100-seed-0.csv"]
    assert len((folder / "data/validation.csv").read_text().splitlines()) == 1 + 2
    again.write_text(yaml.safe_dump(CONFIG | {"data": {"count": 12, "size": 64, "validation": 3, "seed": 7}}))
    assert list(pieces.preparation(grid.read(again))) == [
        folder.relative_to(tmp_path) / "data" / name for name in ("images", "manifest.csv", *fractions)
    ]
    assert pieces.main(RUN) == 0
    assert "2 of 2 trainings are finished" in capsys.readouterr().out
    assert len((folder / "data/validation.csv").read_text().splitlines()) == 1 + 3
    record = json.loads((folder / "runs/ipt-100-seed-0/provenance.json").read_text())
    assert record["training"]["images"] == 9
    experiment = grid.read(again)
    assert not pieces.preparation(experiment)
    pieces.Made(experiment.folder).forget(experiment.folder / "data/manifest.csv")  # as a call that was stopped there
    assert [path.name for path in pieces.preparation(experiment)] == ["manifest.csv", *fractions]
    assert pieces.main(RUN) == 0
    (folder / "data/validation.csv").write_text("path,class,width,height,bytes,sha256\n")
    assert len(pieces.trainings(grid.read(again))) == 2, "other tables than those it was trained on"


def test_pairs_are_listed_as_pairs(config, tmp_path):
    data = {"source": "paired_folders", "root": str(tmp_path), "inputs": "rain-*.png", "targets": "norain-*.png"}
    config.write_text(yaml.safe_dump(CONFIG | {"data": {**data, "validation": 2}, "tasks": ["dr"]}))
    (words, *_) = pieces.preparation(grid.read(config)).values()
    assert words[words.index("--inputs") :][:6] == [
        "--inputs",
        "rain-*.png",
        "--targets",
        "norain-*.png",
        "--scale",
        "1",
    ]


def test_scores_by_other_rules_are_made_again(config, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "_finished", lambda *_: True)
    monkeypatch.setattr(pieces, "_any_gpu", lambda: False)
    scored = {"sets": ["photos@1"], "accelerator": "auto", "data_root": "a"}

    def left(**changed):
        config.write_text(yaml.safe_dump(CONFIG | {"evaluation": scored | changed}))
        return pieces.scorings(grid.read(config))

    made = pieces.Made(tmp_path / "results/tiny-cpu")
    commands = left()
    for folder in {Path(table).parent for table in commands}:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
    for table, words in commands.items():
        Path(table).touch()
        made.note(Path(table), words)
    assert not left()
    assert not left(data_root="b")
    monkeypatch.setattr(pieces, "_any_gpu", lambda: True)
    assert not left()
    monkeypatch.setattr(sys, "executable", "another/python")
    assert not left()
    assert left(sets=["photos@2"]).keys() == left(bicubic="float").keys() == commands.keys()
    table = Path(next(iter(commands)))
    table.write_text("made by Snakemake since")
    assert left().keys() == {str(table)}


def test_a_piece_ends_in_time_and_what_would_not_end_is_not_begun(config, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(pieces, "ENDING", 0.5)
    saved = tmp_path / "results/tiny-long/resume"
    # Time is up once the first training has saved.
    clock = SimpleNamespace(sleep=time.sleep, time=lambda: time.time() + 3600 * bool(list(saved.glob("*/step-*"))))
    monkeypatch.setattr(pieces, "time", clock)
    call = [str(config), "--run", "--preset", "long", "--jobs", "1"]
    experiment = grid.read(config, "long")
    for words in pieces.preparation(experiment).values():
        pieces.subprocess.run(words, check=True)
    assert pieces.main([*call, "--minutes", "30"]) == pieces.EXIT_LEFT
    assert "0 of 2 trainings are finished" in capsys.readouterr().out
    assert "exit status" not in capsys.readouterr().out
    assert list(saved.glob("*/step-*")), "what was under way has saved"
    begun = []
    monkeypatch.setattr(pieces, "command", lambda experiment, run: begun.append(run.name) or ["false"])
    monkeypatch.setattr(pieces, "seconds", lambda *_: 10.0)
    clock.time = iter([0, *[55.0] * 99]).__next__  # of 60.5 seconds, in which a training fits, 5.5 are left
    assert pieces.run(experiment, 60.5, 1) == pieces.EXIT_LEFT
    assert "exit status" not in capsys.readouterr().out


def test_no_job_outlives_a_piece_that_is_asked_to_end(config, tmp_path):
    call = [
        sys.executable,
        "-m",
        "workflows.planning.pieces",
        str(config),
        "--run",
        "--preset",
        "long",
        "--jobs",
        "1",
    ]
    with subprocess.Popen(call, start_new_session=True) as piece:
        while not list((tmp_path / "results/tiny-long/resume").glob("*/step-*")):
            assert piece.poll() is None
            time.sleep(0.1)
        piece.terminate()
        assert piece.wait(timeout=60) == pieces.EXIT_LEFT
        with pytest.raises(ProcessLookupError):
            os.killpg(piece.pid, 0)


def test_a_training_longer_than_any_piece_is_begun(again, capsys, monkeypatch):
    lose("ipt-50-seed-0")
    monkeypatch.setattr(pieces, "seconds", lambda *_: 7200.0)
    assert pieces.main(RUN) == 0
    printed = capsys.readouterr().out
    assert "ipt-50-seed-0: exit status 0" in printed
    assert "2 of 2 trainings are finished" in printed


def test_a_wrong_config_is_one_message(config, capsys):
    assert pieces.main([str(config), "--preset", "lang"]) == 2
    assert "did you mean 'long'?" in capsys.readouterr().err
    config.write_text(yaml.safe_dump(CONFIG | {"evaluation": {"sets": ["Set5"], "data_root": "nowhere"}}))
    assert pieces.main([str(config), "--run", "--score"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (config.parent / "results").exists(), "nothing was begun"
    config.write_text("[]")
    assert pieces.main([str(config), "--preset", "cpu"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
