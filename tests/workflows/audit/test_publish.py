"""What is kept of an experiment is small and whole."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from baselines.own import source_sha256
from tests.helpers import assert_names, gather, raises_naming, write_experiment
from workflows import provenance
from workflows.analysis.records import ReportError
from workflows.audit.__main__ import main
from workflows.audit.publish import LARGEST, LARGEST_LIST, planned_names, publish
from workflows.audit.verify import CHANGED, LEFT_OVER, OK, Finding, verify
from workflows.config import grid


@pytest.fixture
def experiment_dir(tmp_path):
    folder = tmp_path / "small"
    names = write_experiment(folder, fractions=(0.5, 1.0))
    gather(folder, names)
    for name in ("runs/ipt-50-seed-0/model.safetensors", "runs/ipt-50-seed-0/images/sr2/a.png", "report.html"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"large")
    return folder


def list_again(folder):
    """Add the runs that experiment.yaml has now to runs.csv."""
    runs = pd.read_csv(folder / "runs.csv", dtype=str)
    new = [name for name in planned_names(grid.read(folder / "experiment.yaml")) if name not in set(runs["run"])]
    pd.concat([runs, pd.DataFrame({"run": new, "status": "missing"})]).to_csv(folder / "runs.csv", index=False)


def test_numbers_are_kept_and_weights_and_images_are_not(experiment_dir, tmp_path, capsys):
    out = tmp_path / "reference" / "small"
    out.mkdir(parents=True)
    for old in ("SHA256SUMS", "experiment.yaml", "old"):
        (out / old).touch()
    assert main(["publish", str(experiment_dir), str(out)]) == 0
    kept = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"results.csv", "runs.csv", "runs/ipt-50-seed-0/train.csv", "runs/ipt-50-seed-0/provenance.json"} <= kept
    assert not [name for name in kept if name.endswith((".safetensors", ".png", ".html"))]
    assert (out / "results.csv").read_bytes() == (experiment_dir / "results.csv").read_bytes()
    assert not (out / "old").exists(), "an older copy is replaced"
    assert_names(capsys.readouterr().out, out, len(kept))
    listed = {line.partition("  ")[2] for line in (out / "SHA256SUMS").read_text().splitlines()}
    assert listed == kept - {"SHA256SUMS"}


def test_scores_that_the_config_no_longer_asks_for_are_not_kept(experiment_dir, tmp_path):
    for name in ("averaged", "x8"):
        for suffix in ("csv", "json"):
            (experiment_dir / "runs" / "ipt-100-seed-0" / f"metrics-{name}.{suffix}").touch()
    kept = {file.name for file in publish(experiment_dir, tmp_path / "copy") if file.name.startswith("metrics-")}
    assert kept == {"metrics-averaged.csv", "metrics-averaged.json"}


def test_only_what_the_config_plans_is_kept_and_trials_of_other_rates(experiment_dir, tmp_path):
    spec = yaml.safe_load((experiment_dir / "experiment.yaml").read_text()) | {"trial_seeds": [100]}
    (experiment_dir / "experiment.yaml").write_text(yaml.safe_dump(spec))
    trials = [f"runs/ipt-lr-{rate}-100-seed-100/train.csv" for rate in ("0.002", "1e-05")]
    kept = ["data/manifest.csv", "data/fraction-50-seed-0.csv", "data/fraction-100-seed-100.csv", *trials]
    old = ["data/fraction-20-seed-0.csv", "data/fraction-50-seed-7.csv", "data/finetune/fraction-100-seed-0.csv"]
    old += ["runs/former-100-seed-0/metrics.csv", "runs/ipt-20-seed-0/train.csv", "runs/identity/metrics.csv"]
    old += ["runs/former-lr-0.002-100-seed-100/train.csv", "runs/ipt-lr-0.002-20-seed-100/train.csv"]
    for name in (*kept, *old):
        (experiment_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (experiment_dir / name).write_bytes(b"small")
    copied = {file.as_posix() for file in publish(experiment_dir, tmp_path / "copy")}
    assert copied.issuperset((*kept, "runs/bicubic/metrics.csv", "runs/edsr-50-seed-0/metrics.csv"))
    assert copied.isdisjoint(old)
    for copy in (experiment_dir, tmp_path / "copy"):
        found = [finding.what for finding in verify(copy) if finding.state == LEFT_OVER]
        shown = [name if name.count("/") == 1 else str(Path(name).parent) for name in sorted(old)]
        assert sorted(found) == (sorted(shown) if copy == experiment_dir else [])


@pytest.mark.parametrize("summary", [False, True])
def test_files_of_own_networks_are_kept_by_name(experiment_dir, tmp_path, monkeypatch, summary):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    files = ["net.py", str(tmp_path / "other" / "net.py"), "scored.py", "matched.py"]
    for name in files:
        Path(name).write_text(f"# {name}\n")
    spec = yaml.safe_load((experiment_dir / "experiment.yaml").read_text())
    named = [f"{file}:Net" for file in files]
    spec["models"] += [{"name": f"mine-{i}", "variant": name} for i, name in enumerate((*named[:2], "./net.py:Other"))]
    spec["models"] += [{"name": "by-cost", "variant": "edsr_tiny", "kwargs": {"match": {"macs": named[3]}}}]
    spec["models"] += [{"name": "packaged", "variant": "basicsr.archs.rcan_arch:RCAN"}]
    spec["evaluation"] = {"methods": [{"name": "given", "checkpoint": "a.pth", "network": named[2]}]}
    (experiment_dir / "experiment.yaml").write_text(yaml.safe_dump(spec))
    list_again(experiment_dir)
    copy = tmp_path / "copy"
    publish(experiment_dir, copy, summary)
    copies = dict(zip(("net.py", "net-2.py", "scored.py", "matched.py"), files, strict=True))
    assert {path.name: path.read_text() for path in copy.glob("*.py")} == {n: f"# {f}\n" for n, f in copies.items()}
    assert_names((copy / "README.md").read_text(), *copies, *files)
    assert_names((copy / "SHA256SUMS").read_text(), *copies)
    with monkeypatch.context() as elsewhere:  # the copy is checked with its own files
        elsewhere.chdir(tmp_path / "other")
        assert next(verify(copy)) == Finding("experiment.yaml", OK)
    Path("scored.py").unlink()
    with raises_naming(ReportError, "scored.py"):
        publish(experiment_dir, copy, summary)


@pytest.mark.parametrize("record", ["runs/mine-100-seed-0/provenance.json", "runs/given/metrics.json"])
def test_code_that_has_changed_since_is_not_published(experiment_dir, tmp_path, monkeypatch, record):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("# first\n")
    spec = yaml.safe_load((experiment_dir / "experiment.yaml").read_text())
    spec["models"] += [{"name": "mine", "variant": "net.py:Net"}]
    spec["evaluation"] = {"methods": [{"name": "given", "checkpoint": "a.pth", "network": "net.py:Net"}]}
    (experiment_dir / "experiment.yaml").write_text(yaml.safe_dump(spec))
    list_again(experiment_dir)
    hashes = {"source_sha256": source_sha256("net.py:Net")}
    (experiment_dir / record).parent.mkdir()
    (experiment_dir / record).write_text(json.dumps({"network": hashes} if "given" in record else hashes))
    publish(experiment_dir, tmp_path / "copy")
    Path("net.py").write_text("# second\n")
    with raises_naming(ReportError, record, "changed"):
        publish(experiment_dir, tmp_path / "copy")


def test_results_of_another_config_are_not_published(experiment_dir, tmp_path):
    spec = yaml.safe_load((experiment_dir / "experiment.yaml").read_text())
    (experiment_dir / "experiment.yaml").write_text(yaml.safe_dump(spec | {"fractions": [1.0]}))
    with raises_naming(ReportError, "runs.csv", "also has", "ipt-50-seed-0"):
        publish(experiment_dir, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_published_copy_is_verified_by_its_hashes(experiment_dir, tmp_path):
    out = tmp_path / "copy"
    publish(experiment_dir, out)
    sums = {finding.what: finding for finding in verify(out) if "SHA256SUMS" in finding.what}
    assert [finding.state for finding in sums.values()] == ["ok"]
    (out / "runs.csv").write_bytes((out / "runs.csv").read_bytes().replace(b"done", b"gone"))
    (finding,) = (found for found in verify(out) if "SHA256SUMS" in found.what)
    assert finding.state == CHANGED
    assert finding.why.endswith("the first is runs.csv")
    publish(experiment_dir, out)
    for name in ("tables/extra.csv", "runs/edsr-100-seed-7/metrics.csv"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).touch()
    (finding,) = (found for found in verify(out) if "SHA256SUMS" in found.what)
    assert finding.state == CHANGED
    assert_names(finding.why, 2, "runs/edsr-100-seed-7/metrics.csv")


def test_a_summary_has_the_config_and_its_tables_and_figures_only(experiment_dir, tmp_path):
    old = ("figures/quality_cost_old.png", "figures/comparison-sr2-photos-cat.png", "learning_rates.csv")
    for name in ("tables/summary.csv", "figures/gains.png", *old):
        (experiment_dir / name).parent.mkdir(exist_ok=True)
        (experiment_dir / name).write_bytes(b"small")
    out = tmp_path / "copy"
    assert main(["publish", str(experiment_dir), str(out), "--summary"]) == 0
    kept = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert kept == {"experiment.yaml", "tables/summary.csv", "figures/gains.png", "README.md", "SHA256SUMS"}
    assert "results.csv" not in (out / "README.md").read_text()


def test_an_experiment_is_not_published_over_itself(experiment_dir):
    for out in (experiment_dir, experiment_dir.parent):
        with raises_naming(ReportError, out):
            publish(experiment_dir, out)


def test_what_is_no_published_copy_is_never_replaced(experiment_dir, tmp_path):
    out = tmp_path / "papers"
    (out / "other").mkdir(parents=True)
    (out / "other" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("kept")
    for place in (out, tmp_path / "file"):
        with raises_naming(ReportError, place):
            publish(experiment_dir, place)
    assert (out / "other" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "kept"
    (tmp_path / "empty").mkdir()
    assert publish(experiment_dir, tmp_path / "empty")


def test_of_benchmark_images_small_crops_alone_are_kept(experiment_dir, tmp_path):
    config = yaml.safe_load((experiment_dir / "experiment.yaml").read_text())
    shown = {"dataset": "photos", "task": "sr2"}
    comparisons = [shown | {"image": "astronaut"}, shown | {"image": "coffee", "whole": False}]
    (experiment_dir / "experiment.yaml").write_text(yaml.safe_dump(config | {"report": {"comparisons": comparisons}}))
    for stem in (
        "comparison-sr2-photos-astronaut",
        "comparison-sr2-photos-coffee",
        "similarity-sr2-photos-astronaut",
        "psnr_fraction",
    ):
        for suffix in (".png", ".pdf", ".csv"):
            (experiment_dir / "figures").mkdir(exist_ok=True)
            (experiment_dir / "figures" / (stem + suffix)).write_bytes(b"drawn")
    publish(experiment_dir, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "figures").glob("*.p*")} == {
        *("comparison-sr2-photos-coffee.png", "comparison-sr2-photos-coffee.pdf"),
        *("psnr_fraction.png", "psnr_fraction.pdf"),
    }
    assert (tmp_path / "out" / "figures" / "similarity-sr2-photos-astronaut.csv").is_file()


def test_a_large_file_is_refused_by_name_and_nothing_is_left(experiment_dir, tmp_path):
    (experiment_dir / "figures").mkdir()
    (experiment_dir / "figures" / "gains.png").write_bytes(bytes(LARGEST + 1))
    with raises_naming(
        ReportError, experiment_dir / "figures" / "gains.png", f"{LARGEST + 1:,}", f"{LARGEST:,}", "summary"
    ):
        publish(experiment_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_of_a_large_list_of_images_the_hash_is_kept(experiment_dir, tmp_path):
    (experiment_dir / "data").mkdir()
    for name, size in (("manifest.csv", LARGEST_LIST + 1), ("validation.csv", 9)):
        (experiment_dir / "data" / name).write_bytes(b"x" * size)
    kept = publish(experiment_dir, tmp_path / "out")
    assert [file.name for file in kept if file.parent.name == "data"] == ["validation.csv"]
    digest = provenance.sha256(experiment_dir / "data" / "manifest.csv")
    assert_names((tmp_path / "out" / "README.md").read_text(), "data/manifest.csv", digest)


def test_a_copy_lands_in_the_current_folder_and_where_a_link_points(experiment_dir, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    monkeypatch.chdir(tmp_path / "here")
    assert main(["publish", str(experiment_dir), "."]) == 0
    assert main(["publish", str(experiment_dir), str(tmp_path / "link")]) == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "here" / "SHA256SUMS").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "link", "small"]


def test_an_unfinished_experiment_is_refused(tmp_path):
    with raises_naming(ReportError, tmp_path, "results.csv"):
        publish(tmp_path, tmp_path / "out")
