"""Archives hold what is finished once, are never overwritten, and keep weights that something still reads."""

import json
import os
import tarfile

import pytest

from tests.helpers import raises_naming
from workflows.command_line import InputError
from workflows.config import grid
from workflows.planning import archives, pieces

CONFIG = {
    "name": "tiny",
    "seeds": [0, 1],
    "models": [{"name": "ipt", "variant": "ipt_tiny", "learning_rates": [0.001]}],
    "trial_seeds": [7],
    "training": {"patch_size": 24},
    "evaluation": {"sets": ["Set5"], "data_root": "data"},
}
TRIAL = "ipt-lr-0.001-100-seed-7"


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return grid.parse(CONFIG)


def finish(experiment, name, *tables):
    out = experiment.folder / "runs" / name
    out.mkdir(parents=True)
    (out / "model.safetensors").write_bytes(bytes(100))
    (out / "provenance.json").write_text(json.dumps({"digest": experiment.trainings()[name].digest}))
    for table in tables:
        (out / table).write_text("psnr_y\n30\n")
    return out


def pack(experiment, **options):
    return [names for _, names in archives.pack(experiment, experiment.folder.parent / "packed", 1e6, **options)]


def members(tmp_path):
    packed = sorted((tmp_path / "results/packed").glob("*.tar"))
    return [[member.name for member in tarfile.open(path)] for path in packed]


def test_a_file_is_packed_again_only_if_it_has_changed(experiment, tmp_path):
    out = finish(experiment, "ipt-100-seed-0", "metrics.csv")
    assert pack(experiment) == [["ipt-100-seed-0"]]
    assert pack(experiment) == []
    (out / "metrics.csv").write_text("psnr_y\n31.5\n")
    assert pack(experiment) == [["ipt-100-seed-0"]]
    assert members(tmp_path)[1] == ["tiny/runs/ipt-100-seed-0/metrics.csv"]


def test_a_number_is_not_used_twice_after_archives_were_moved_away(experiment, tmp_path):
    finish(experiment, "ipt-100-seed-0")
    pack(experiment)
    finish(experiment, "ipt-100-seed-1")
    pack(experiment)
    (tmp_path / "results/packed/tiny-001.tar").unlink()
    assert pack(experiment) == [["ipt-100-seed-0"]]
    assert sorted(path.name for path in (tmp_path / "results/packed").iterdir()) == ["tiny-002.tar", "tiny-003.tar"]


def test_an_archive_that_cannot_be_read_is_named(experiment, tmp_path):
    finish(experiment, "ipt-100-seed-0")
    pack(experiment)
    archive = tmp_path / "results/packed/tiny-001.tar"
    os.truncate(archive, 700)
    with raises_naming(InputError, archive.relative_to(tmp_path)):
        pack(experiment)


def test_weights_are_left_out_only_where_nothing_reads_them(experiment):
    finish(experiment, "ipt-100-seed-0", "metrics.csv", "metrics-averaged.csv")
    finish(experiment, "ipt-100-seed-1", "metrics-averaged.csv")
    finish(experiment, TRIAL)
    assert pieces.unread_weights(experiment) == {"ipt-100-seed-0", TRIAL}
    mapped = {"similarity": {"dataset": "Set5", "image": "bird", "task": "sr2"}}
    assert pieces.unread_weights(grid.parse(CONFIG | {"report": mapped})) == {TRIAL}


def test_a_first_stage_keeps_its_weights_until_the_second_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tuned = CONFIG | {"seeds": [0], "finetune": {"data": {"count": 10}, "training": {"budget": {"steps": 1}}}}
    experiment = grid.parse(tuned)
    finish(experiment, "ipt-100-seed-0", "metrics.csv", "metrics-averaged.csv")
    assert "ipt-100-seed-0" not in pieces.unread_weights(experiment)
    finish(experiment, "ipt-ft-100-seed-0", "metrics.csv", "metrics-averaged.csv")
    assert "ipt-100-seed-0" in pieces.unread_weights(experiment)
