import hashlib
import io
import json
import shutil
import tarfile

import pandas as pd
import pytest
import yaml

from tests.helpers import assert_names, gather, write_experiment
from workflows.analysis.computation import write_tables
from workflows.audit.__main__ import main
from workflows.audit.verify import ABSENT, CHANGED, LEFT_OVER, OK, verify
from workflows.config import grid
from workflows.evaluation import score_provenance
from workflows.evaluation.sets import find_jobs

MODELS = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.1), "edsr": ("edsr_tiny", 0.0, 0.9, 0.1)}


@pytest.fixture
def sound(agreeing, tmp_path):
    """A copy to change of an experiment whose hashes, configs and tables all agree."""
    return shutil.copytree(agreeing, tmp_path / "small")


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "small"
    names = write_experiment(folder, fractions=(0.5, 1.0), models=MODELS)
    config = {
        "name": "small",
        "fractions": [0.5, 1.0],
        "models": [{"name": n, "variant": v[0]} for n, v in MODELS.items()],
    }
    config["training"] = {"patch_size": 24}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
    planned = grid.read(folder / "experiment.yaml").runs()
    images = folder / "data" / "images" / "train"
    images.mkdir(parents=True)
    rows = []
    for number in range(3):
        (images / f"{number}.png").write_bytes(bytes([number]) * 50)
        digest = hashlib.sha256(bytes([number]) * 50).hexdigest()
        size = {"class": "", "width": 8, "height": 8, "bytes": 50}
        rows.append({"path": f"train/{number}.png", **size, "sha256": digest})
    pd.DataFrame(rows).to_csv(folder / "data" / "manifest.csv", index=False)
    (folder / "data" / "fraction-50-seed-0.csv").write_text("path\ntrain/0.png\n")
    for name, run in planned.items():
        path = folder / "runs" / name / "provenance.json"
        provenance = json.loads(path.read_text())
        (folder / "runs" / name / "model.safetensors").write_bytes(name.encode())
        provenance["weights_sha256"] = hashlib.sha256(name.encode()).hexdigest()
        subset = folder / "data" / "fraction-50-seed-0.csv"
        provenance["data"] = {subset.name: hashlib.sha256(subset.read_bytes()).hexdigest()}
        provenance["digest"] = run.digest
        path.write_text(json.dumps(provenance))
    photos = score_provenance.sha256_of(find_jobs(["photos"], ["sr2"], None)[0].samples)
    for name in names:
        metrics = folder / "runs" / name / "metrics.csv"
        weights = hashlib.sha256(name.encode()).hexdigest() if name in planned else None
        recorded = {"metrics_sha256": hashlib.sha256(metrics.read_bytes()).hexdigest(), "weights_sha256": weights}
        score_provenance.beside(metrics).write_text(json.dumps({**recorded, "sets": {"photos sr2": photos}}))
    logs = [folder / "runs" / name / "train.csv" for name in planned]
    write_tables(*gather(folder, names), folder / "tables", logs)
    return folder


def changed(folder) -> dict[str, str]:
    return {finding.what: finding.why for finding in verify(folder) if finding.state == CHANGED}


def test_an_untouched_experiment_is_sound(sound, capsys):
    assert {finding.state for finding in verify(sound)} == {OK}
    assert main(["verify", str(sound)]) == 0
    assert_names(capsys.readouterr().out, "0 changed", "0 absent")


def test_changed_weights_are_named(sound, capsys):
    (sound / "runs" / "ipt-50-seed-0" / "model.safetensors").write_bytes(b"other")
    assert list(changed(sound)) == ["runs/ipt-50-seed-0: runs/ipt-50-seed-0/model.safetensors"]
    assert main(["verify", str(sound)]) == 1
    assert_names(capsys.readouterr().out, "changed", "runs/ipt-50-seed-0/model.safetensors")


def test_scores_of_other_weights_and_other_images_are_named(sound):
    path = sound / "runs" / "ipt-50-seed-0" / "metrics.json"
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps({**recorded, "weights_sha256": "1" * 64, "sets": {"photos sr2": "2" * 64}}))
    assert list(changed(sound)) == [
        "runs/ipt-50-seed-0: metrics.csv, weights that were scored",
        "runs/ipt-50-seed-0: metrics.csv, images of photos sr2",
        *("results.csv", "runs.csv"),
    ]


def test_a_changed_image_and_subset_are_named(sound):
    (sound / "data" / "images" / "train" / "1.png").write_bytes(b"")
    (sound / "data" / "fraction-50-seed-0.csv").write_text("path\n")
    found = changed(sound)
    assert_names(found["3 training images"], "1 of 3", "manifest.csv", "train/1.png")
    assert sum("fraction-50-seed-0.csv" in what for what in found) == 4


def test_a_changed_config_is_named(sound):
    config = yaml.safe_load((sound / "experiment.yaml").read_text())
    config["models"][0]["training"] = {"learning_rate": 0.5}
    (sound / "experiment.yaml").write_text(yaml.safe_dump(config))
    found = changed(sound)
    runs = {f"runs/ipt-{percent}-seed-0: config" for percent in (50, 100)}
    assert set(found) == {*runs, "runs.csv"}, "a run of another config is not gathered"
    for why in found.values():
        assert_names(why, "experiment.yaml")


def test_a_changed_score_shows_in_results_and_a_changed_result_in_tables(sound):
    path = sound / "runs" / "edsr-100-seed-0" / "metrics.csv"
    metrics = pd.read_csv(path)
    metrics.loc[0, "psnr_y"] += 0.01
    metrics.to_csv(path, index=False)
    found = changed(sound)
    assert set(found) == {"runs/edsr-100-seed-0: metrics.csv", "results.csv"}
    assert_names(found["runs/edsr-100-seed-0: metrics.csv"], hashlib.sha256(path.read_bytes()).hexdigest()[:12])
    assert_names(found["results.csv"], 1, "line 20")
    gather(sound, ["ipt-50-seed-0", "ipt-100-seed-0", "edsr-50-seed-0", "edsr-100-seed-0", "bicubic"])
    assert "tables/summary.csv" in changed(sound)
    assert "results.csv" not in changed(sound)


def test_a_run_that_is_dropped_or_added_is_named(sound):
    names = ["ipt-50-seed-0", "ipt-100-seed-0", "edsr-50-seed-0", "bicubic"]
    logs = [sound / "runs" / name / "train.csv" for name in names[:-1]]
    write_tables(*gather(sound, names), sound / "tables", logs)
    found = changed(sound)
    assert list(found) == ["runs.csv: runs of experiment.yaml"]
    assert_names(*found.values(), "edsr-100-seed-0")
    shutil.copytree(sound / "runs" / "edsr-100-seed-0", sound / "runs" / "edsr-100-seed-7")
    pd.read_csv(sound / "runs.csv").replace("ipt-50-seed-0", "edsr-100-seed-7").to_csv(sound / "runs.csv", index=False)
    assert_names(changed(sound)["runs.csv: runs of experiment.yaml"], "ipt-50-seed-0", "edsr-100-seed-7")


def test_a_run_that_is_not_scored_yet_is_no_change(sound):
    names = ["ipt-50-seed-0", "ipt-100-seed-0", "edsr-50-seed-0", "edsr-100-seed-0", "bicubic"]
    shutil.rmtree(sound / "runs" / "edsr-100-seed-0")
    logs = [sound / "runs" / name / "train.csv" for name in names[:3]]
    write_tables(*gather(sound, names), sound / "tables", logs)
    assert changed(sound) == {}


def test_what_was_not_kept_is_absent_and_no_change(sound):
    for path in sound.glob("runs/*/model.safetensors"):
        path.unlink()
    (sound / "tables" / "costs.csv").unlink()
    states = [finding.state for finding in verify(sound)]
    assert states.count(ABSENT) == 5
    assert CHANGED not in states


def test_what_an_earlier_config_asked_for_is_left_over(sound, capsys):
    (sound / "figures").mkdir()
    old = ["figures/comparison-sr2-photos-cat.png", "figures/contrastive_gain.pdf", "learning_rates.csv"]
    old += ["runs/ipt-100-seed-0/metrics-x8.csv"]
    for name in [*old, "figures/gains.png"]:
        (sound / name).touch()
    assert [finding.what for finding in verify(sound) if finding.state == LEFT_OVER] == old
    assert main(["verify", str(sound)]) == 0
    assert_names(capsys.readouterr().out, *old, "4 left over")


def test_a_folder_that_is_no_experiment_is_refused(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 2
    assert_names(capsys.readouterr().err, tmp_path, "runs.csv", "experiment.yaml")


DAMAGE = {
    "cut in its middle": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "removed": lambda path: path.unlink(),
}
FILES = (
    *("experiment.yaml", "runs.csv", "results.csv", "data/manifest.csv", "data/fraction-50-seed-0.csv"),
    *("runs/ipt-50-seed-0/provenance.json", "runs/ipt-50-seed-0/metrics.json", "runs/ipt-50-seed-0/metrics.csv"),
    *(
        "runs/ipt-50-seed-0/train.csv",
        "runs/ipt-50-seed-0/model.safetensors",
        "tables/summary.csv",
        "tables/seeds.csv",
    ),
)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_a_finding_that_ends_no_other(sound, name, monkeypatch):
    monkeypatch.setattr("workflows.audit.verify.TABLES", ("summary", "seeds"))  # all tables take seconds to compute
    whole = (sound / name).read_bytes()
    for damage, harm in DAMAGE.items():
        (sound / name).write_bytes(whole)
        harm(sound / name)
        findings = list(verify(sound))
        assert len(findings) > 20, damage
        assert {finding.state for finding in findings} != {OK}, damage
        file = name.rpartition("/")[2]
        if damage != "removed":
            named = [finding for finding in findings if finding.state == CHANGED]
            assert any(file in f"{f.what} {f.why}" or file.partition(".")[0] in f.what for f in named), (damage, named)


def test_images_in_archives_are_read_as_training_reads_them(sound):
    shutil.rmtree(sound / "data" / "images" / "train")
    content = bytes([1]) * 50
    with tarfile.open(sound / "data" / "images" / "n01440764.tar", "w") as archive:
        member = tarfile.TarInfo("a.JPEG")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    row = {"path": "train/n01440764/a.JPEG", "class": "n01440764", "width": 8, "height": 8, "bytes": 50}
    row |= {"sha256": hashlib.sha256(content).hexdigest(), "archive": "n01440764.tar", "offset": 512}
    pd.DataFrame([row]).to_csv(sound / "data" / "manifest.csv", index=False)
    found = {finding.what: finding.state for finding in verify(sound)}
    assert found["1 training images"] == OK
    pd.DataFrame([row | {"sha256": "0" * 64}]).to_csv(sound / "data" / "manifest.csv", index=False)
    assert "1 training images" in changed(sound)
